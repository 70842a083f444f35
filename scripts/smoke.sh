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
  local value=${!1:-}
  [ -n "$value" ] || value=$({ sed -n "s/^$1=//p" .env 2> /dev/null || true; } | tail -n 1)
  case "$value" in \"*\" | \'*\') value=${value:1:${#value}-2} ;; esac
  printf '%s' "$value"
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

now=$(date +%s)

# claims USER_ID [SECONDS]: of a good token, without the braces around them
claims() {
  printf '"sub":"%s","iat":%d,"exp":%d' "$1" "$now" "$((now + ${2:-600}))"
  [ -z "$issuer" ] || printf ',"iss":"%s"' "$issuer"
  [ -z "$audience" ] || printf ',"aud":"%s"' "$audience"
}

# signed CLAIMS [HEADER] [KEY]: a token, with HS256 whatever the header says
signed() {
  local text
  text="$(printf '{%s}' "${2:-\"alg\":\"HS256\",\"typ\":\"JWT\"}" | base64url).$(printf '{%s}' "$1" | base64url)"
  printf '%s.%s' "$text" "$(printf '%s' "$text" | openssl dgst -sha256 -hmac "${3:-$secret}" -binary | base64url)"
}

token() { signed "$(claims "$1")"; }

checks=0
status='' body=''

# request METHOD PATH [CURL ARGUMENTS]: sets status and body; the headers are in $scratch/headers
request() {
  local method=$1 path=$2
  shift 2
  # HEAD is curl's --head: it would wait for a body.
  if [ "$method" = HEAD ]; then set -- --head "$@"; else set -- -X "$method" "$@"; fi
  status=$(curl -sS -m 20 -o "$scratch/body" -D "$scratch/headers" -w '%{http_code}' --path-as-is "$base$path" "$@")
  body=$(cat "$scratch/body")
}

# header NAME: its value, or nothing
header() { { tr -d '\r' < "$scratch/headers" | grep -i "^$1: " || true; } | head -n 1 | cut -d ' ' -f 2-; }

fail() {
  echo "FAILED: $1" >&2
  echo "  expected: $2" >&2
  echo "  got:      $3" >&2
  exit 1
}

passed() {
  checks=$((checks + 1))
  echo "ok  $1  $2"
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
  passed "$wanted" "$what"
}

alice="smoke-$(openssl rand -hex 6)"
bob="smoke-$(openssl rand -hex 6)"
carol="smoke-$(openssl rand -hex 6)"
dave="smoke-$(openssl rand -hex 6)"
as_alice=(-H "Authorization: Bearer $(token "$alice")")
as_bob=(-H "Authorization: Bearer $(token "$bob")")
as_carol=(-H "Authorization: Bearer $(token "$carol")")
as_dave=(-H "Authorization: Bearer $(token "$dave")")
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
newer=$(header etag)
expect "replace what has changed" 412 PUT "$tasks/1" "${as_alice[@]}" "${json[@]}" -d '{"title":"x"}' -H "If-Match: $etag"
expect "a weak tag never matches" 412 PUT "$tasks/1" "${as_alice[@]}" "${json[@]}" -d '{"title":"x"}' -H "If-Match: W/$newer"
expect "patch" 200 PATCH "$tasks/1" "${as_alice[@]}" -H 'Content-Type: application/merge-patch+json' -d '{"description":"rye"}'
contains "patch: title kept" '"title":"Buy bread"' "$body"
expect "patch what has changed" 412 PATCH "$tasks/1" "${as_alice[@]}" "${json[@]}" -d '{"title":"x"}' -H "If-Match: $etag"
expect "toggle what has changed" 412 PATCH "$tasks/1/complete" "${as_alice[@]}" -H "If-Match: $etag"
expect "delete what has changed" 412 DELETE "$tasks/1" "${as_alice[@]}" -H "If-Match: $etag"
expect "any tag" 200 PATCH "$tasks/1" "${as_alice[@]}" "${json[@]}" -d '{"title":"Buy rolls"}' -H 'If-Match: *'
expect "one of these tags" 200 PATCH "$tasks/1" "${as_alice[@]}" "${json[@]}" -d '{"title":"Buy bread"}' -H "If-Match: $etag, $(header etag)"
expect "toggle" 200 PATCH "$tasks/1/complete" "${as_alice[@]}"
contains "toggle: on" '"completed":true' "$body"
expect "toggle back" 200 PATCH "$tasks/1/complete" "${as_alice[@]}"
contains "toggle: off" '"completed":false' "$body"
expect "set completed" 200 PATCH "$tasks/1/complete" "${as_alice[@]}" "${json[@]}" -d '{"completed":true}'
contains "set completed: on" '"completed":true' "$body"
expect "set completed again" 200 PATCH "$tasks/1/complete" "${as_alice[@]}" "${json[@]}" -d '{"completed":true}'
contains "set completed again: still on" '"completed":true' "$body"
for nothing in '{}' null; do expect "complete with $nothing" 422 PATCH "$tasks/1/complete" "${as_alice[@]}" "${json[@]}" -d "$nothing"; done
expect "create another" 201 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":"second"}'
expect "a page" 200 GET "$tasks?limit=1" "${as_alice[@]}"
contains "a page: newest first" '"id":2' "$body"
next=$(header link)
contains "a page: next" 'rel="next"' "$next"
next=${next#<}
expect "the next page" 200 GET "${next%%>*}" "${as_alice[@]}"
contains "the next page: the first task" '"id":1' "$body"
equal "the next page: the last one" '' "$(header link)"
expect "create with a key" 201 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":"once"}' -H 'Idempotency-Key: smoke'
once=$body
expect "create with the same key" 201 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":"once"}' -H 'Idempotency-Key: smoke'
equal "create with the same key: replayed" true "$(header idempotency-replayed)"
equal "create with the same key: the same answer" "$once" "$body"
expect "another request with that key" 422 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":"twice"}' -H 'Idempotency-Key: smoke'
expect "no key at all" 400 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":"x"}' -H 'Idempotency-Key: ""'
expect "delete with a key" 204 DELETE "$tasks/3" "${as_alice[@]}" -H 'Idempotency-Key: smoke-2'
expect "delete with the same key" 204 DELETE "$tasks/3" "${as_alice[@]}" -H 'Idempotency-Key: smoke-2'
expect "the list" 200 GET "$tasks" "${as_alice[@]}"
expect "the list when it is known already" 304 GET "$tasks" "${as_alice[@]}" -H "If-None-Match: $(header etag)"
expect "only pending" 200 GET "$tasks?status=pending" "${as_alice[@]}"
case "$body" in *'"completed":true'*) fail "only pending" "no completed task" "$body" ;; esac

plan='"priority":"high","due_date":"2026-12-24","tags":["Home"]'
expect "plan" 200 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d "{$plan}"
contains "plan: the due date as it was given" '"due_date":"2026-12-24"' "$body"
for wrong in '"priority":"urgent"' '"due_date":"2026-12-24T18:00:00"' '"tags":["a","A"]' '"recurrence":"FREQ=HOURLY"' '"parent_id":99'; do
  expect "plan ${wrong//\"/}" 422 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d "{$wrong}"
done
expect "remind" 200 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d '{"reminders":["-P1D","2099-12-24T09:00:00Z"]}'
contains "remind: when next" '"remind_at":"20' "$body"
for wrong in '["-PT"]' '["-P367D"]' '["PT25H"]' '["2026-12-24"]' '["-P1D","-P1D"]'; do
  expect "remind ${wrong//\"/}" 422 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d "{\"reminders\":$wrong}"
done
expect "remind no more" 200 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d '{"reminders":[]}'
expect "find" 200 GET "$tasks?tag=HOME&priority=high&q=SECOND&due_before=2027-01-01&sort=due_date" "${as_alice[@]}" -H 'Prefer: count=exact'
contains "find: the task" '"id":2' "$body"
equal "find: how many" 1 "$(header x-total-count)"
for wrong in sort=name priority=urgent due_before=soon overdue=yes parent_id=x q= tag=; do
  expect "find $wrong" 422 GET "$tasks?$wrong" "${as_alice[@]}"
done
expect "tags" 200 GET "/api/$alice/tags" "${as_alice[@]}"
equal "tags: counted" '[{"tag":"Home","open":1,"total":1}]' "$body"
expect "repeat" 200 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d '{"recurrence":"FREQ=WEEKLY"}'
expect "complete what repeats" 200 PATCH "$tasks/2/complete" "${as_alice[@]}"
contains "complete what repeats: a week later" '"due_date":"2026-12-31"' "$body"
contains "complete what repeats: what was completed" '"completed_occurrence":{"due_date":"2026-12-24"' "$body"
expect "what was completed" 200 GET "/api/$alice/completions?task_id=2&limit=1" "${as_alice[@]}" -H 'Prefer: count=exact'
contains "what was completed: what it was" '"due_date":"2026-12-24"' "$body"
contains "what was completed: how many" 1 "$(header x-total-count)"
completion=${body#*\"id\":\"}
completion=${completion%%\"*}
expect "take it back after a change" 412 DELETE "/api/$alice/completions/$completion" "${as_alice[@]}" -H 'If-Match: "1"'
expect "take it back" 200 DELETE "/api/$alice/completions/$completion" "${as_alice[@]}"
contains "take it back: as it was" '"due_date":"2026-12-24"' "$body"
expect "take it back again" 404 DELETE "/api/$alice/completions/$completion" "${as_alice[@]}"
expect "take nothing back" 422 DELETE "/api/$alice/completions/x" "${as_alice[@]}"
expect "complete it again" 200 PATCH "$tasks/2/complete" "${as_alice[@]}"
expect "start later" 200 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d '{"start_date":"2026-12-30T08:00:00Z"}'
expect "start after the due date" 422 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d '{"start_date":"2027-01-01"}'
expect "what has begun" 200 GET "$tasks?available=true" "${as_alice[@]}"
expect "start at once" 200 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d '{"start_date":null}'
expect "repeat on schedule" 200 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d '{"due_date":"2020-01-01","recurrence":"FREQ=WEEKLY;COUNT=2","recurrence_from":"schedule"}'
expect "skip what was missed" 200 PATCH "$tasks/2/complete" "${as_alice[@]}" "${json[@]}" -d '{"completed":true,"skip_missed":true}'
contains "skip what was missed: none is left" '"completed":true' "$body"
expect "skip without completing" 422 PATCH "$tasks/2/complete" "${as_alice[@]}" "${json[@]}" -d '{"completed":false,"skip_missed":true}'
expect "a subtask" 201 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":"part","parent_id":2}'
expect "delete a parent" 204 DELETE "$tasks/2" "${as_alice[@]}"
expect "a deleted subtask" 404 GET "$tasks/4" "${as_alice[@]}"
expect "the trash" 200 GET "$tasks?status=deleted&parent_id=2" "${as_alice[@]}"
contains "the trash: the part" '"id":4' "$body"
expect "restore" 200 POST "$tasks/2/restore" "${as_alice[@]}"
expect "restore again" 404 POST "$tasks/2/restore" "${as_alice[@]}"
expect "a restored subtask" 200 GET "$tasks/4" "${as_alice[@]}"
lists="/api/$alice/lists"
expect "no lists yet" 200 GET "$lists" "${as_alice[@]}"
expect "a list" 201 POST "$lists" "${as_alice[@]}" "${json[@]}" -d '{"name":"Groceries"}'
equal "a list: Location" "$lists/1" "$(header location)"
expect "a list without a name" 422 POST "$lists" "${as_alice[@]}" "${json[@]}" -d '{"name":""}'
expect "one list" 200 GET "$lists/1" "${as_alice[@]}"
expect "rename a list" 200 PATCH "$lists/1" "${as_alice[@]}" "${json[@]}" -d '{"name":"Food"}'
expect "move a task to the front" 200 PATCH "$tasks/2/move" "${as_alice[@]}" "${json[@]}" -d '{"after":null}'
expect "move a task after itself" 422 PATCH "$tasks/2/move" "${as_alice[@]}" "${json[@]}" -d '{"after":2}'
expect "the user's order" 200 GET "$tasks?sort=position&limit=1" "${as_alice[@]}"
contains "the user's order: what was moved to the front" '[{"user_id":"'"$alice"'","id":2,' "$body"
expect "move a list" 200 PATCH "$lists/1/move" "${as_alice[@]}" "${json[@]}" -d '{"after":null}'
expect "into a list" 200 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d '{"list_id":1}'
expect "a list's tasks" 200 GET "$tasks?list_id=1&parent_id=2" "${as_alice[@]}"
contains "a list's tasks: the subtask" '"id":4' "$body"
expect "into a list that is not there" 422 PATCH "$tasks/2" "${as_alice[@]}" "${json[@]}" -d '{"list_id":9}'
expect "delete a list" 204 DELETE "$lists/1" "${as_alice[@]}"
expect "a deleted list" 404 GET "$lists/1" "${as_alice[@]}"
expect "a task of a deleted list" 404 GET "$tasks/2" "${as_alice[@]}"
expect "restore a list" 200 POST "$lists/1/restore" "${as_alice[@]}"
expect "a task of a restored list" 200 GET "$tasks/2" "${as_alice[@]}"
expect "delete a list without its tasks" 204 DELETE "$lists/1?tasks=keep" "${as_alice[@]}"
expect "the lists of the trash" 200 GET "$lists?status=deleted" "${as_alice[@]}"
contains "the lists of the trash: its name" '"name":"Food"' "$body"
expect "the inbox" 200 GET "$tasks?list_id=none&parent_id=none" "${as_alice[@]}"
contains "the inbox: the task" '"id":2' "$body"
expect "apply to another number" 409 POST "$tasks/apply" "${as_alice[@]}" "${json[@]}" -d '{"where":{"parent_id":2},"op":"complete","expect":7}'
contains "apply to another number: how many" '"found":1' "$body"
expect "apply" 200 POST "$tasks/apply" "${as_alice[@]}" "${json[@]}" -d '{"where":{"parent_id":2},"op":"update","changes":{"priority":"low"},"expect":1}'
equal "apply: which" '{"count":1,"ids":[4]}' "$body"
expect "apply a move to the inbox" 200 POST "$tasks/apply" "${as_alice[@]}" "${json[@]}" -d '{"where":{"parent_id":"none"},"op":"move","list_id":null}'
expect "apply to the trash" 422 POST "$tasks/apply" "${as_alice[@]}" "${json[@]}" -d '{"where":{"status":"deleted"},"op":"delete"}'
expect "a batch" 200 POST "/api/$alice/batch" "${as_alice[@]}" "${json[@]}" \
  -d '{"operations":[{"op":"create","ref":"a","task":{"title":"of a batch"}},{"op":"delete","ref":"a"},{"op":"delete","id":4}]}'
contains "a batch: three results" '"status":204},{"status":204}]' "$body"
expect "remove for good" 204 DELETE "/api/$alice/trash/4" "${as_alice[@]}"
expect "remove for good again" 404 DELETE "/api/$alice/trash/4" "${as_alice[@]}"
expect "restore what was removed" 404 POST "$tasks/4/restore" "${as_alice[@]}"
expect "a batch that fails" 404 POST "/api/$alice/batch" "${as_alice[@]}" "${json[@]}" \
  -d '{"operations":[{"op":"delete","id":2},{"op":"delete","id":99}]}'
contains "a batch that fails: which one" '"operation":1' "$body"
expect "a full copy" 200 GET "/api/$alice/changes?since=0" "${as_alice[@]}"
contains "a full copy: there is no more" '"has_more":false' "$body"
contains "a full copy: what was completed" '"completions":[{"id":"2-' "$body"
contains "a full copy: nothing is gone from it" '"deleted_completions":[]' "$body"
since=${body##*'"revision":'}
since=${since%%,*}
expect "no change since then" 200 GET "/api/$alice/changes?since=$since" "${as_alice[@]}"
none='"tasks":[],"deleted":[],"lists":[],"deleted_lists":[],"completions":[],"deleted_completions":[]'
equal "no change since then" "{$none,\"revision\":$since,\"has_more\":false}" "$body"
expect "changes since a revision to come" 410 GET "/api/$alice/changes?since=$((since + 1))" "${as_alice[@]}"
expect "changes since nothing" 422 GET "/api/$alice/changes" "${as_alice[@]}"
expect "events from an unknown place" 400 GET "/api/$alice/events" "${as_alice[@]}" -H 'Last-Event-ID: x'
heard=$(curl -sS -N --max-time 2 "$base/api/$alice/events" "${as_alice[@]}" 2> /dev/null || true)
contains "events: where things are" "id: $since" "$heard"
passed 200 "events"
expect "export" 200 GET "/api/$alice/export" "${as_alice[@]}"
exported=$body
contains "export: what was completed" '"completions":[{"task_id":2,' "$body"
for format in text/csv text/calendar; do
  expect "export $format" 200 GET "/api/$alice/export" "${as_alice[@]}" -H "Accept: $format"
  contains "export $format: which one" "$format" "$(header content-type)"
done
expect "export in an unknown format" 406 GET "/api/$alice/export" "${as_alice[@]}" -H 'Accept: text/html'
expect "import what is there" 200 POST "/api/$alice/import" "${as_alice[@]}" "${json[@]}" -d "$exported"
equal "import what is there: nothing changes" '{"created":0,"changed":0,"unchanged":2}' "$body"
expect "import it once more, under new ids" 200 POST "/api/$carol/import?ids=new" "${as_carol[@]}" "${json[@]}" -d "$exported"
equal "import under new ids: all of it is added" '{"created":2,"changed":0,"unchanged":0}' "$body"
expect "what was completed came with it" 200 GET "/api/$carol/completions" "${as_carol[@]}"
contains "what was completed came with it" '"moved_on":true' "$body"
imported=${body#*\"id\":\"}
expect "take back what was imported" 412 DELETE "/api/$carol/completions/${imported%%\"*}" "${as_carol[@]}"
anonymous=$(signed "$(claims "$carol"),\"isAnonymous\":true")
expect "claim with a bad token" 422 POST "/api/$alice/claim" "${as_alice[@]}" "${json[@]}" -d '{"token":"x"}'
expect "claim with one's own token" 422 POST "/api/$carol/claim" "${as_carol[@]}" "${json[@]}" -d "{\"token\":\"$anonymous\"}"
expect "claim a user who is not anonymous" 403 POST "/api/$alice/claim" "${as_alice[@]}" "${json[@]}" -d "{\"token\":\"$(token "$carol")\"}"
expect "claim an anonymous user" 200 POST "/api/$dave/claim" "${as_dave[@]}" "${json[@]}" -d "{\"token\":\"$anonymous\"}"
equal "claim: all of it has moved" '{"tasks":2,"deleted_tasks":0}' "$body"
expect "nothing of the anonymous user is left" 204 DELETE "/api/$carol" "${as_carol[@]}" -H 'Prefer: return=minimal'
expect "erase what was claimed" 200 DELETE "/api/$dave" "${as_dave[@]}"
expect "import under other ids than new and keep" 422 POST "/api/$alice/import?ids=old" "${as_alice[@]}" "${json[@]}" -d "$exported"
todos=$(printf 'BEGIN:VCALENDAR\nBEGIN:VTODO\nSUMMARY:Buy milk\nLOCATION:Shop\nEND:VTODO\nEND:VCALENDAR\n')
expect "try a calendar" 200 POST "/api/$bob/import?dry_run=true" "${as_bob[@]}" -H 'Content-Type: text/calendar' --data-binary "$todos"
contains "try a calendar: one task, and what is dropped" '"created":1,"changed":0,"unchanged":0,"ids":"new","dropped":[{"line":4,' "$body"
expect "a calendar that is none" 422 POST "/api/$bob/import" "${as_bob[@]}" -H 'Content-Type: text/calendar' --data-binary 'x'
expect "import what is no export" 422 POST "/api/$alice/import" "${as_alice[@]}" "${json[@]}" -d '{"tasks":[]}'

# refused WHAT DESCRIPTION [CURL ARGUMENTS]: 401 with the challenge of RFC 6750; without a description, no token was seen
refused() {
  local what=$1 challenge='Bearer realm="tasks"'
  [ -z "$2" ] || challenge+=", error=\"invalid_token\", error_description=\"$2\""
  shift 2
  expect "$what" 401 GET "$tasks" "$@"
  equal "$what: challenge" "$challenge" "$(header www-authenticate)"
}
bearer() { printf 'Authorization: Bearer %s' "$1"; }
good=$(claims "$alice")
times=${good#*,}
hs256='"alg":"HS256","typ":"JWT"'

refused "no token" ''
refused "another scheme" '' -H 'Authorization: Basic YTpi'
refused "a bare Bearer" 'The token is not a signed JWT: it must have three parts.' -H 'Authorization: Bearer'
refused "two tokens" 'The request has more than one Authorization header.' "${as_alice[@]}" "${as_alice[@]}"
refused "no JWT" 'The token is not a signed JWT: it must have three parts.' -H "$(bearer rubbish)"
refused "a forged token" "The token's signature does not match." -H "$(bearer "$(signed "$good" "$hs256" another-secret-of-enough-characters)")"
refused "a token without its signature" "The token's signature does not match." -H "$(bearer "$(token "$alice" | cut -d . -f 1-2).")"
for algorithm in none HS384; do
  expect "alg $algorithm" 401 GET "$tasks" -H "$(bearer "$(signed "$good" "\"alg\":\"$algorithm\"")")"
  contains "alg $algorithm: which ones are accepted" 'must be signed with HS256' "$(header www-authenticate)"
done
refused "a session token" 'This is a session token, which only Better Auth can read. Send the JWT from authClient.token().' -H "$(bearer k3J9sZabcdefghijklmnopqrstuvwxyz)"
expect "a session cookie that is nobody's" 401 GET "$tasks" -H 'Cookie: better-auth.session_token=x; better-auth.session_data=x'
refused "a key that the token brings" "The token's header asks for a key or an extension that is not accepted." -H "$(bearer "$(signed "$good" "$hs256,\"jwk\":{}")")"
refused "a token of another type" 'The token is of another type: typ must be JWT or at+jwt.' -H "$(bearer "$(signed "$good" '"alg":"HS256","typ":"dpop+jwt"')")"
refused "an expired token" 'The token has expired.' -H "$(bearer "$(signed "$(claims "$alice" -3600)")")"
refused "a token without an end" 'The token has no exp.' -H "$(bearer "$(signed "\"sub\":\"$alice\"")")"
refused "a token for a hundred years" 'The token would live longer than this service allows.' -H "$(bearer "$(signed "$(claims "$alice" 3155760000)")")"
refused "a token for later" "The token's nbf is not accepted." -H "$(bearer "$(signed "$good,\"nbf\":$((now + 3600))")")"
refused "a token without a user" 'The token names no user: sub is missing.' -H "$(bearer "$(signed "$times")")"
refused "an e-mail token" 'The token names no user: sub is missing.' -H "$(bearer "$(signed "$times,\"email\":\"a@b.example\",\"userId\":\"$alice\"")")"
refused "a token for two users" 'The token names two users: sub and user_id differ.' -H "$(bearer "$(signed "$good,\"user_id\":\"$bob\"")")"
refused "a claim twice" 'The token names a member twice.' -H "$(bearer "$(signed "$good,\"sub\":\"$bob\"")")"
expect "user_id in place of sub" 200 GET "$tasks" -H "$(bearer "$(signed "$times,\"user_id\":\"$alice\"")")"
expect "the scheme in lower case" 200 GET "$tasks" -H "authorization: bearer $(token "$alice")"
expect "an unknown path without a token" 401 GET /nowhere

expect "erasing another user" 403 DELETE "/api/$alice" "${as_bob[@]}"
expect "applying as another user" 403 POST "$tasks/apply" "${as_bob[@]}" "${json[@]}" -d '{"where":{},"op":"delete"}'
expect "completions as another user" 403 GET "/api/$alice/completions" "${as_bob[@]}"
expect "taking a completion back as another user" 403 DELETE "/api/$alice/completions/$completion" "${as_bob[@]}"
expect "emptying the trash as another user" 403 DELETE "/api/$alice/trash" "${as_bob[@]}"
expect "restoring as another user" 403 POST "$tasks/1/restore" "${as_bob[@]}"
expect "a batch as another user" 403 POST "/api/$alice/batch" "${as_bob[@]}" "${json[@]}" -d '{}'
expect "a claim as another user" 403 POST "/api/$alice/claim" "${as_bob[@]}" "${json[@]}" -d '{}'
expect "an import as another user" 403 POST "/api/$alice/import" "${as_bob[@]}" "${json[@]}" -d '{}'
for below in lists tags changes?since=0 events export; do expect "another user's $below" 403 GET "/api/$alice/$below" "${as_bob[@]}"; done
expect "another user's list" 403 GET "$tasks" "${as_bob[@]}"
expect "another user's task" 403 GET "$tasks/1" "${as_bob[@]}"
expect "creating as another user" 403 POST "$tasks" "${as_bob[@]}" "${json[@]}" -d '{"title":"x"}'
for method in PUT PATCH DELETE; do expect "$method as another user" 403 "$method" "$tasks/1" "${as_bob[@]}" "${json[@]}" -d '{"title":"x"}'; done
expect "toggling as another user" 403 PATCH "$tasks/1/complete" "${as_bob[@]}"
expect "403 before the body is looked at" 403 POST "$tasks" "${as_bob[@]}" "${json[@]}" -d '{'
expect "403 before the route is looked for" 403 GET "/api/$alice/nothing" "${as_bob[@]}"
case "$body" in *"$alice"* | *"$bob"*) fail "403 names nobody" "no user id" "$body" ;; esac
expect "another spelling of the path" 403 GET "/%61pi/$alice/tasks" "${as_bob[@]}"
expect "a list of one's own" 200 GET "/api/$bob/tasks" "${as_bob[@]}"
equal "a list of one's own" '[]' "$body"
expect "another user's id under one's own path" 404 GET "/api/$bob/tasks/1" "${as_bob[@]}"

expect "no such task" 404 GET "$tasks/99" "${as_alice[@]}"
for method in PUT PATCH; do expect "$method to no such task" 404 "$method" "$tasks/99" "${as_alice[@]}" "${json[@]}" -d '{"title":"x"}'; done
expect "toggling no such task" 404 PATCH "$tasks/99/complete" "${as_alice[@]}"
expect "no such task is 404 before 412" 404 DELETE "$tasks/99" "${as_alice[@]}" -H 'If-Match: "1"'
expect "outside the users' paths" 404 GET /nowhere "${as_alice[@]}"
expect "no such route" 404 GET "/api/$alice/nothing" "${as_alice[@]}"
expect "a slash at the end" 404 GET "$tasks/" "${as_alice[@]}"
# unknown METHOD PATH ALLOWED
unknown() {
  expect "$1 on ${2/"$alice"/ME}" 405 "$1" "$2" "${as_alice[@]}"
  equal "$1 on $2: Allow" "$3" "$(header allow)"
}
unknown DELETE "$tasks" 'GET, HEAD, POST'
unknown POST "$tasks/1" 'DELETE, GET, HEAD, PATCH, PUT'
unknown GET "$tasks/1/complete" PATCH
unknown POST /health 'GET, HEAD'
request HEAD "$tasks" "${as_alice[@]}"
equal "HEAD" '200' "$status"
passed 200 "HEAD"
unknown POST /health/ready 'GET, HEAD'
expect "a body that is not JSON" 400 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{'
expect "a body that is not UTF-8" 400 POST "$tasks" "${as_alice[@]}" "${json[@]}" --data-binary $'{"title":"\xff"}'
expect "a cursor made up" 400 GET "$tasks?cursor=x" "${as_alice[@]}"
head -c 70000 /dev/zero | tr '\0' 'x' > "$scratch/large"
expect "a body that is too large" 413 POST "$tasks" "${as_alice[@]}" "${json[@]}" -H 'Expect:' --data-binary "@$scratch/large"
expect "a body in chunks that is too large" 413 POST "$tasks" "${as_alice[@]}" "${json[@]}" -H 'Expect:' -H 'Transfer-Encoding: chunked' --data-binary "@$scratch/large"
expect "toggle with a body of another type" 415 PATCH "$tasks/1/complete" "${as_alice[@]}" -H 'Content-Type: text/plain' -d '{"completed":true}'
expect "a body of another type" 415 POST "$tasks" "${as_alice[@]}" -H 'Content-Type: text/plain' -d '{"title":"x"}'
expect "a compressed body" 415 POST "$tasks" "${as_alice[@]}" "${json[@]}" -H 'Content-Encoding: gzip' -d '{"title":"x"}'
expect "no title" 422 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{}'
contains "no title: pointer" '"pointer":"#/title"' "$body"
expect "a title of blanks" 422 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":"  "}'
expect "a title that is too long" 422 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d "{\"title\":\"$(head -c 201 /dev/zero | tr '\0' x)\"}"
expect "a title that is no text" 422 PUT "$tasks/1" "${as_alice[@]}" "${json[@]}" -d '{"title":1}'
expect "a title of null" 422 PATCH "$tasks/1" "${as_alice[@]}" "${json[@]}" -d '{"title":null}'
expect "somebody else's user_id in the body" 422 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d "{\"title\":\"x\",\"user_id\":\"$bob\"}"
expect "user_id in the query" 422 GET "$tasks?user_id=$bob" "${as_alice[@]}"
expect "an id that is not a plain decimal" 422 GET "$tasks/007" "${as_alice[@]}"
expect "a limit out of bounds" 422 GET "$tasks?limit=501" "${as_alice[@]}"
expect "headers that are too large" 431 GET "$tasks" -H "X-Large: $(head -c 33000 /dev/zero | tr '\0' 'x')"

request OPTIONS "$tasks" -H "Origin: $origin" -H 'Access-Control-Request-Method: POST' -H 'Access-Control-Request-Headers: authorization'
equal "a preflight needs no token" 200 "$status"
passed 200 "a preflight needs no token"
equal "a preflight: origin" "$origin" "$(header access-control-allow-origin)"
request OPTIONS "$tasks" -H 'Origin: https://evil.example' -H 'Access-Control-Request-Method: POST'
equal "a preflight from elsewhere" 400 "$status"
passed 400 "a preflight from elsewhere"
equal "a preflight from elsewhere: origin" '' "$(header access-control-allow-origin)"
expect "an error can be read by the page" 401 GET "$tasks" -H "Origin: $origin"
equal "an error can be read: origin" "$origin" "$(header access-control-allow-origin)"
equal "an error can be read: exposed" 'Accept, Accept-Encoding, Accept-Patch, Allow, Content-Disposition, ETag, Idempotency-Replayed, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-ID, X-Total-Count' "$(header access-control-expose-headers)"
expect "how often one may ask" 200 GET "$tasks" "${as_alice[@]}"
case "$(header ratelimit)" in
  '"user";r='*) passed 200 "how often one may ask: told" ;;
  *) equal "how often one may ask: told" '"user";r=...' "$(header ratelimit)" ;;
esac
expect "a request id that the caller chose" 200 GET /health -H 'X-Request-ID: smoke-1'
equal "a request id that the caller chose" smoke-1 "$(header x-request-id)"

for id in 1 2; do expect "delete $id" 204 DELETE "$tasks/$id" "${as_alice[@]}"; done
expect "delete again" 404 DELETE "$tasks/1" "${as_alice[@]}"
expect "empty again" 200 GET "$tasks" "${as_alice[@]}"
equal "empty again" '[]' "$body"
expect "create one more" 201 POST "$tasks" "${as_alice[@]}" "${json[@]}" -d '{"title":"last"}'
expect "empty the trash" 200 DELETE "/api/$alice/trash" "${as_alice[@]}"
expect "the emptied trash" 200 GET "$tasks?status=deleted" "${as_alice[@]}"
equal "the emptied trash: nothing" '[]' "$body"
expect "erase everything" 200 DELETE "/api/$alice" "${as_alice[@]}"
equal "erase everything: how many tasks" '{"tasks":1}' "$body"
expect "erase again, quietly" 204 DELETE "/api/$alice" "${as_alice[@]}" -H 'Prefer: return=minimal'

echo "$checks checks passed against $base"
