-- What wrk sends, and how it checks every answer. Arguments: a file with one request a line (method, path, token, body,
-- separated by tabs), the statuses and the numbers of tasks that an answer may have, separated by commas.

local threads = {}
local requests, statuses, counts, position = {}, {}, {}, 0
wrong, lists, answers, example = 0, 0, 0, ""

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  for line in io.lines(arguments[1]) do
    local method, path, token, body = line:match("^(%S+)\t(%S+)\t(%S*)\t(.*)$")
    local headers = { ["Host"] = "127.0.0.1" }
    if token ~= "" then
      headers["Authorization"] = "Bearer " .. token
    end
    if body ~= "" then
      headers["Content-Type"] = "application/json"
    end
    table.insert(requests, wrk.format(method, path, headers, body ~= "" and body or nil))
  end
  for status in arguments[2]:gmatch("%d+") do
    statuses[tonumber(status)] = true
  end
  for count in arguments[3]:gmatch("%d+") do
    counts[tonumber(count)] = true
  end
  math.randomseed(os.time())
  position = math.random(#requests)
end

function request()
  position = position % #requests + 1
  return requests[position]
end

-- How many tasks an answer holds. Plain searches: a pattern would cost more than some of the servers.
local function tasks(body)
  local count, place = 0, 1
  while true do
    local found, last = body:find('"title":"', place, true)
    if not found then
      return count
    end
    if body:byte(last + 1) ~= 34 then
      count = count + 1
    end
    place = last + 1
  end
end

function response(status, _, body)
  local count = tasks(body)
  answers = answers + 1
  if count > 1 then
    lists = lists + 1
  end
  if not (statuses[status] and counts[count]) then
    wrong = wrong + 1
    example = (status .. " with " .. count .. " tasks: " .. body:sub(1, 300)):gsub("%c", " ")
  end
end

function done(summary, latency)
  local thread = threads[1]
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format("RESULT\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), thread:get("lists"), thread:get("wrong"), failed,
    thread:get("example")))
end
