// What both Fastify contestants share: the routes, schemas and hooks, on a store that answers rows. As a careful engineer
// writes it: the token cache on, request and response schemas, one log line a request.
import cors from '@fastify/cors'
import jwt from '@fastify/jwt'
import Fastify from 'fastify'
import pg from 'pg'

const { BETTER_AUTH_SECRET, PORT } = process.env
// bigint as a number, as the project sends it; timestamps as the text that the statements make of them.
pg.types.setTypeParser(20, Number)
pg.types.setTypeParser(1114, (text) => `${text.slice(0, 10)}T${text.slice(11)}Z`)

const task = {
  type: 'object',
  properties: {
    user_id: { type: 'string' },
    id: { type: 'integer' },
    title: { type: 'string' },
    description: { type: ['string', 'null'] },
    completed: { type: 'boolean' },
    completed_at: { type: ['string', 'null'] },
    priority: { type: ['string', 'null'] },
    due_date: { type: ['string', 'null'] },
    time_zone: { type: ['string', 'null'] },
    recurrence: { type: ['string', 'null'] },
    recurrence_from: { type: ['string', 'null'] },
    tags: { type: 'array', items: { type: 'string' } },
    reminders: { type: 'array', items: { type: 'string' } },
    remind_at: { type: ['string', 'null'] },
    parent_id: { type: ['integer', 'null'] },
    start_date: { type: ['string', 'null'] },
    list_id: { type: ['integer', 'null'] },
    position: { type: ['string', 'null'] },
    revision: { type: 'integer' },
    created_at: { type: 'string' },
    updated_at: { type: 'string' }
  }
}
const body = {
  type: 'object',
  required: ['title'],
  additionalProperties: false,
  properties: {
    title: { type: 'string', minLength: 1, maxLength: 200 },
    description: { type: ['string', 'null'], maxLength: 1000 },
    completed: { type: 'boolean' },
    priority: { enum: ['low', 'medium', 'high', null] },
    due_date: { type: ['string', 'null'] },
    tags: { type: 'array', maxItems: 20, items: { type: 'string', minLength: 1, maxLength: 50 } }
  }
}
const ids = { type: 'object', properties: { id: { type: 'integer', minimum: 1 } } }

function one (reply, rows, status = 200) {
  if (rows.length === 0) return reply.code(404).send({ message: 'No such task' })
  return reply.code(status).header('ETag', `"${rows[0].revision}"`).send(rows[0])
}

// `run(name, values)` answers the rows of one of list, get, create, update and toggle.
export async function serve (run) {
  const app = Fastify({ logger: true, disableRequestLogging: true, bodyLimit: 65536, routerOptions: { ignoreTrailingSlash: false } })
  app.register(cors, { origin: ['http://localhost:3000'], credentials: true })
  app.register(jwt, {
    secret: BETTER_AUTH_SECRET,
    verify: { algorithms: ['HS256'], cache: true, requiredClaims: ['exp', 'sub'], clockTolerance: 30 }
  })
  app.addHook('onRequest', async (request, reply) => {
    try {
      await request.jwtVerify()
    } catch {
      return reply.code(401).header('WWW-Authenticate', 'Bearer').send({ message: 'Not authenticated' })
    }
    if (request.params.user_id !== request.user.sub) return reply.code(403).send({ message: 'Not yours' })
  })
  app.addHook('onResponse', async (request, reply) => {
    request.log.info({
      method: request.method,
      route: request.routeOptions.url,
      status: reply.statusCode,
      ms: reply.elapsedTime,
      request_id: request.id,
      user_id: request.user?.sub
    }, 'request')
  })

  app.register(async (routes) => {
    routes.get('/tasks', {
      schema: {
        querystring: { type: 'object', properties: { limit: { type: 'integer', minimum: 1, maximum: 500, default: 100 } } },
        response: { 200: { type: 'array', items: task } }
      }
    }, (request) => run('list', [request.user.sub, request.query.limit]))

    routes.post('/tasks', { schema: { body, response: { 201: task } } }, async (request, reply) => {
      const { title, description = null, completed = false, priority = null, due_date = null, tags = [] } = request.body
      return one(reply, await run('create', [request.user.sub, title, description, completed, priority, due_date, tags]), 201)
    })

    routes.get('/tasks/:id', { schema: { params: ids, response: { 200: task } } }, async (request, reply) =>
      one(reply, await run('get', [request.user.sub, request.params.id])))

    routes.put('/tasks/:id', { schema: { params: ids, body, response: { 200: task } } }, async (request, reply) => {
      const { title, description = null, priority = null, due_date = null, tags = [] } = request.body
      return one(reply, await run('update', [request.user.sub, request.params.id, title, description, priority, due_date, tags]))
    })

    routes.patch('/tasks/:id/complete', { schema: { params: ids, response: { 200: task } } }, async (request, reply) =>
      one(reply, await run('toggle', [request.user.sub, request.params.id])))
  }, { prefix: '/api/:user_id' })

  await app.listen({ host: '127.0.0.1', port: Number(PORT) })
}
