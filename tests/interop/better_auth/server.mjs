// Real Better Auth, one instance for each way in which it can be configured, each on a port of its own.
// Prints one line of JSON: the address of each. What a test must make happen at Better Auth's side is under /test/.
import { createServer } from 'node:http'
import { once } from 'node:events'
import { oauthProvider } from '@better-auth/oauth-provider'
import { APIError, betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { toNodeHandler } from 'better-auth/node'
import { anonymous, bearer, jwt } from 'better-auth/plugins'
import { SignJWT } from 'jose'

const { SECRET, OLD_SECRET } = process.env

const sharedSecret = (jwtOptions = {}) => ({
  plugins: [
    jwt({
      jwks: { remoteUrl: 'https://unused.invalid', keyPairConfig: { alg: 'EdDSA' } },
      jwt: {
        ...jwtOptions,
        sign: (payload) =>
          new SignJWT(payload).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(new TextEncoder().encode(SECRET))
      }
    })
  ]
})
const keys = (alg, more = {}) => ({ plugins: [jwt({ jwks: { keyPairConfig: { alg }, ...more } })] })
const cookie = (cookieCache, more = {}) => ({ session: { cookieCache: { enabled: true, ...cookieCache } }, plugins: [], ...more })

// As docs/better-auth.md shows it; `api` is told by the test.
let api
const eraseTasks = async (user, request) => {
  const { token } = await instances.leaving.api.getToken({ headers: request.headers })
  const headers = { Authorization: `Bearer ${token}`, Prefer: 'return=minimal' }
  const erased = await fetch(`${api}/api/${user.id}`, { method: 'DELETE', headers })
  if (!erased.ok) throw new APIError('SERVICE_UNAVAILABLE', { message: 'Your tasks could not be erased. Try again.' })
}

// As docs/better-auth.md shows it, too.
const claimTasks = async ({ anonymousUser, newUser }) => {
  const sign = async ({ id, isAnonymous }) => (await instances.anonymous.api.signJWT({ body: { payload: { sub: id, isAnonymous } } })).token
  const headers = { Authorization: `Bearer ${await sign(newUser.user)}`, 'Content-Type': 'application/json' }
  const body = JSON.stringify({ token: await sign(anonymousUser.user) })
  const claimed = await fetch(`${api}/api/${newUser.user.id}/claim`, { method: 'POST', headers, body })
  if (!claimed.ok) throw new APIError('SERVICE_UNAVAILABLE', { message: 'Your tasks could not be taken over. Sign in again.' })
}

const modes = {
  anonymous: { plugins: [jwt(), anonymous({ onLinkAccount: claimTasks })] },
  leaving: { plugins: [jwt()], user: { deleteUser: { enabled: true, beforeDelete: eraseTasks } } },
  default: { plugins: [jwt(), bearer()] },
  ES256: keys('ES256'),
  ES512: keys('ES512'),
  RS256: keys('RS256', { keyPairConfig: { alg: 'RS256', modulusLength: 2048 } }),
  PS256: keys('PS256', { keyPairConfig: { alg: 'PS256', modulusLength: 2048 } }),
  ignored: { plugins: [jwt({ jwt: { alg: 'HS256' } })] },
  audience: { plugins: [jwt({ jwt: { audience: 'tasks-api' } })] },
  payload: { plugins: [jwt({ jwt: { definePayload: ({ user }) => ({ mail: user.email }) } })] },
  instant: { plugins: [jwt({ jwt: { expirationTime: 3600 } })] },
  shared: sharedSecret(),
  rotated: { ...sharedSecret(), secrets: [{ version: 2, value: SECRET }, { version: 1, value: OLD_SECRET }] },
  cookie: cookie({ strategy: 'jwt' }),
  chunks: cookie({ strategy: 'jwt' }, { user: { additionalFields: { about: { type: 'string', required: false } } } }),
  prefix: cookie({ strategy: 'jwt', version: '7' }, { advanced: { cookiePrefix: 'my-app', useSecureCookies: true } }),
  compact: cookie({ strategy: 'compact' }),
  jwe: cookie({ strategy: 'jwe' }),
  signed: cookie({ strategy: 'jwt' }, { plugins: [jwt({ sessionCookieCache: true })] }),
  oauth: {
    plugins: [
      jwt({ disableSettingJwtHeader: true }),
      oauthProvider({ loginPage: '/login', consentPage: '/consent', silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true } })
    ]
  }
}

const tables = ['user', 'session', 'account', 'verification', 'jwks', 'oauthClient', 'oauthRefreshToken', 'oauthAccessToken', 'oauthConsent', 'oauthResource']
const addresses = {}
const instances = {}
for (const [mode, options] of Object.entries(modes)) {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${server.address().port}`
  const database = Object.fromEntries(tables.map((table) => [table, []]))
  const mails = []
  const auth = betterAuth({
    baseURL: url,
    ...(options.secrets ? {} : { secret: SECRET }),
    database: memoryAdapter(database),
    emailAndPassword: { enabled: true },
    emailVerification: { sendOnSignUp: true, sendVerificationEmail: async ({ token }) => void mails.push(token) },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    ...options
  })
  instances[mode] = auth
  const answer = toNodeHandler(auth)
  server.on('request', async (request, response) => {
    try {
      if (request.url.startsWith('/test/api?')) {
        api = new URL(request.url, url).searchParams.get('url')
        return response.end()
      }
      switch (request.url) {
        case '/test/mails':
          return response.end(JSON.stringify(mails))
        case '/test/expire-keys': // the next token is signed with a new key; the old one stays published for the grace period
          for (const key of database.jwks) key.expiresAt = new Date(Date.now() - 1000)
          return response.end()
        case '/test/drop-keys': // as when the grace period is over
          database.jwks = database.jwks.filter((key) => !key.expiresAt)
          return response.end()
        case '/test/client': {
          const client = await auth.api.adminCreateOAuthClient({
            headers: new Headers({ cookie: request.headers.cookie ?? '' }),
            body: { redirect_uris: ['https://client.example/callback'], skip_consent: true, scope: 'openid' }
          })
          return response.end(JSON.stringify(client))
        }
        default:
          return await answer(request, response)
      }
    } catch (error) {
      response.statusCode = 500
      response.end(JSON.stringify(error?.body ?? String(error?.stack ?? error)))
    }
  })
  addresses[mode] = url
}
console.log(JSON.stringify(addresses))
// Whoever started this holds the other end of its standard input, and ends it by letting go.
process.stdin.resume().on('end', () => process.exit())
