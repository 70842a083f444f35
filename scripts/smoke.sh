#!/usr/bin/env bash
# Check a running server with curl: every route and every refusal. Stops at the first difference.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  echo "Usage: scripts/smoke.sh [BASE_URL]   (http://127.0.0.1:8000; BETTER_AUTH_SECRET from the environment or .env)"
  exit 0
fi

base=${1:-http://127.0.0.1:8000}
setting() {
  if [ -n "${!1:-}" ]; then printf '%s' "${!1}"; else { sed -n "s/^$1=//p" .env 2> /dev/null || true; } | tail -n 1; fi
}
secret=$(setting BETTER_AUTH_SECRET)
issuer=$(setting JWT_ISSUER)
audience=$(setting JWT_AUDIENCE)
origin=$(setting CORS_ORIGINS)
origin=${origin%%,*}
origin=${origin:-http://localhost:3000}
[ -n "$secret" ] || { echo "BETTER_AUTH_SECRET is neither in the environment nor in .env." >&2; exit 2; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# token USER_ID [SECONDS] [KEY]
token() {
  local now claims signed
  now=$(date +%s)
  claims="{\"sub\":\"$1\",\"iat\":$now,\"exp\":$((now + ${2:-600}))"
  [ -z "$issuer" ] || claims+=",\"iss\":\"$issuer\""
  [ -z "$audience" ] || claims+=",\"aud\":\"$audience\""
  signed="$(printf '{"alg":"HS256","typ":"JWT"}' | base64url).$(printf '%s}' "$claims" | base64url)"
  printf '%s.%s' "$signed" "$(printf '%s' "$signed" | openssl dgst -sha256 -hmac "${3:-$secret}" -binary | base64url)"
}

checks=0
status='' body=''

# request METHOD PATH [CURL ARGUMENTS]: sets status and body; the headers are in $scratch/headers
request() {
  local method=$1 path=$2
  shift 2
  status=$(curl -sS -o "$scratch/body" -D "$scratch/headers" -w '%{http_code}' --path-as-is -X "$method" "$base$path" "$@")
  body=$(cat "$scratch/body")
}

header() { tr -d '\r' < "$scratch/headers" | sed -n "s/^$1: //Ip" | head -n 1; }

fail() {
  echo "FAILED: $1" >&2
  echo "  expected: $2" >&2
  echo "  got:      $3" >&2
  exit 1
}

equal() { [ "$2" = "$3" ] || fail "$1" "$2" "$3"; }
contains() { case "$3" in *"$2"*) ;; *) fail "$1" "... $2 ..." "$3" ;; esac; }

# expect WHAT STATUS METHOD PATH [CURL ARGUMENTS]
expect() {
  local what=$1 wanted=$2
  shift 2
  request "$@"
  [ "$status" = "$wanted" ] || fail "$what" "$wanted" "$status ${body:0:300}"
  if [ "$wanted" -ge 400 ]; then
    equal "$what: media type" application/problem+json "$(header content-type)"
    contains "$what: request id" "\"request_id\":\"$(header x-request-id)\"" "$body"
  fi
  checks=$((checks + 1))
  echo "ok  $wanted  $what"
}

alice="smoke-$(openssl rand -hex 6)"
bob="smoke-$(openssl rand -hex 6)"
as_alice=(-H "Authorization: Bearer $(token "$alice")")
as_bob=(-H "Authorization: Bearer $(token "$bob")")
json=(-H 'Content-Type: application/json')
tasks="/api/$alice/tasks"

expect "liveness" 200 GET /health
expect "readiness" 200 GET /health/ready
expect "a public path ignores a bad token" 200 GET /health -H 'Authorization: Bearer rubbish'

expect "an empty list" 200 GET "$tasks" "${as_alice[@]}"
equal "an empty list" '[]' "$body"
expect "create" 201 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":" Buy milk ","description":"2 l"}'
contains "create: trimmed" '"title":"Buy milk"' "$body"
equal "create: Location" "$tasks/1" "$(header location)"
etag=$(header etag)
expect "get" 200 GET "$tasks/1" "${as_alice[@]}"
equal "get: ETag" "$etag" "$(header etag)"
expect "get what is known already" 304 GET "$tasks/1" "${as_alice[@]}" -H "If-None-Match: $etag"
expect "replace" 200 PUT "$tasks/1" "${as_alice[@]}" "${json[@]}" -d '{"title":"Buy bread"}' -H "If-Match: $etag"
contains "replace: description cleared" '"description":null' "$body"
expect "replace what has changed" 412 PUT "$tasks/1" "${as_alice[@]}" "${json[@]}" -d '{"title":"x"}' -H "If-Match: $etag"
expect "patch" 200 PATCH "$tasks/1" "${as_alice[@]}" -H 'Content-Type: application/merge-patch+json' -d '{"description":"rye"}'
contains "patch: title kept" '"title":"Buy bread"' "$body"
expect "toggle" 200 PATCH "$tasks/1/complete" "${as_alice[@]}"
contains "toggle: on" '"completed":true' "$body"
expect "toggle back" 200 PATCH "$tasks/1/complete" "${as_alice[@]}"
contains "toggle: off" '"completed":false' "$body"
expect "set completed" 200 PATCH "$tasks/1/complete" "${as_alice[@]}" "${json[@]}" -d '{"completed":true}'
contains "set completed: on" '"completed":true' "$body"
expect "create another" 201 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":"second"}'
expect "a page" 200 GET "$tasks?limit=1" "${as_alice[@]}"
contains "a page: newest first" '"id":2' "$body"
next=$(header link)
contains "a page: next" 'rel="next"' "$next"
next=${next#<}
expect "the next page" 200 GET "${next%%>*}" "${as_alice[@]}"
contains "the next page: the first task" '"id":1' "$body"
equal "the next page: the last one" '' "$(header link)"
expect "only pending" 200 GET "$tasks?status=pending" "${as_alice[@]}"
case "$body" in *'"completed":true'*) fail "only pending" "no completed task" "$body" ;; esac

expect "no token" 401 GET "$tasks"
equal "no token: challenge" 'Bearer realm="tasks"' "$(header www-authenticate)"
expect "another scheme" 401 GET "$tasks" -H 'Authorization: Basic YTpi'
equal "another scheme: challenge" 'Bearer realm="tasks"' "$(header www-authenticate)"
expect "a forged token" 401 GET "$tasks" -H "Authorization: Bearer $(token "$alice" 600 another-secret-of-enough-characters)"
equal "a forged token: challenge" "Bearer realm=\"tasks\", error=\"invalid_token\", error_description=\"The token's signature does not match.\"" "$(header www-authenticate)"
expect "an expired token" 401 GET "$tasks" -H "Authorization: Bearer $(token "$alice" -3600)"
contains "an expired token: challenge" 'expired' "$(header www-authenticate)"
expect "an unknown path without a token" 401 GET /nowhere

expect "another user's list" 403 GET "$tasks" "${as_bob[@]}"
expect "another user's task" 403 GET "$tasks/1" "${as_bob[@]}"
expect "writing as another user" 403 POST "$tasks" "${as_bob[@]}" "${json[@]}" -d '{"title":"x"}'
expect "deleting as another user" 403 DELETE "$tasks/1" "${as_bob[@]}"
expect "another spelling of the path" 403 GET "/%61pi/$alice/tasks" "${as_bob[@]}"
expect "a list of one's own" 200 GET "/api/$bob/tasks" "${as_bob[@]}"
equal "a list of one's own" '[]' "$body"
expect "another user's id under one's own path" 404 GET "/api/$bob/tasks/1" "${as_bob[@]}"

expect "no such task" 404 GET "$tasks/99" "${as_alice[@]}"
expect "no such route" 404 GET "/api/$alice/nothing" "${as_alice[@]}"
expect "a slash at the end" 404 GET "$tasks/" "${as_alice[@]}"
expect "a method that is not known" 405 POST "$tasks/1" "${as_alice[@]}"
equal "a method that is not known: Allow" 'DELETE, GET, PATCH, PUT' "$(header allow)"
expect "a body that is not JSON" 400 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{'
expect "a cursor made up" 400 GET "$tasks?cursor=x" "${as_alice[@]}"
head -c 70000 /dev/zero | tr '\0' 'x' > "$scratch/large"
expect "a body that is too large" 413 POST "$tasks" "${as_alice[@]}" "${json[@]}" -H 'Expect:' --data-binary "@$scratch/large"
expect "a body in chunks that is too large" 413 POST "$tasks" "${as_alice[@]}" "${json[@]}" -H 'Expect:' -H 'Transfer-Encoding: chunked' --data-binary "@$scratch/large"
expect "a body of another type" 415 POST "$tasks" "${as_alice[@]}" -H 'Content-Type: text/plain' -d '{"title":"x"}'
expect "a compressed body" 415 POST "$tasks" "${as_alice[@]}" "${json[@]}" -H 'Content-Encoding: gzip' -d '{"title":"x"}'
expect "no title" 422 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{}'
contains "no title: pointer" '"pointer":"#/title"' "$body"
expect "a title of blanks" 422 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":"  "}'
expect "somebody else's user_id in the body" 422 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d "{\"title\":\"x\",\"user_id\":\"$bob\"}"
expect "user_id in the query" 422 GET "$tasks?user_id=$bob" "${as_alice[@]}"
expect "an id that is not a plain decimal" 422 GET "$tasks/007" "${as_alice[@]}"
expect "a limit out of bounds" 422 GET "$tasks?limit=501" "${as_alice[@]}"
expect "headers that are too large" 431 GET "$tasks" -H "X-Large: $(head -c 33000 /dev/zero | tr '\0' 'x')"

request OPTIONS "$tasks" -H "Origin: $origin" -H 'Access-Control-Request-Method: POST' -H 'Access-Control-Request-Headers: authorization'
equal "a preflight needs no token" 200 "$status"
equal "a preflight: origin" "$origin" "$(header access-control-allow-origin)"
request OPTIONS "$tasks" -H 'Origin: https://evil.example' -H 'Access-Control-Request-Method: POST'
equal "a preflight from elsewhere" 400 "$status"
equal "a preflight from elsewhere: origin" '' "$(header access-control-allow-origin)"
expect "an error can be read by the page" 401 GET "$tasks" -H "Origin: $origin"
equal "an error can be read: origin" "$origin" "$(header access-control-allow-origin)"
contains "an error can be read: exposed" 'Retry-After' "$(header access-control-expose-headers)"
checks=$((checks + 2))

for id in 1 2; do expect "delete $id" 204 DELETE "$tasks/$id" "${as_alice[@]}"; done
expect "delete again" 404 DELETE "$tasks/1" "${as_alice[@]}"
expect "empty again" 200 GET "$tasks" "${as_alice[@]}"
equal "empty again" '[]' "$body"

echo "$checks checks passed against $base"
