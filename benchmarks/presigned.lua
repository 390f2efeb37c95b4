-- Sends requests that were signed beforehand (benchmarks/wrk.py writes them), and reports what wrk measured.
--
-- Arguments: the file of bodies, one a line; the file of deliveries, each an event id (36 bytes) and its signature
-- (64 bytes), the n-th of which signs body number n modulo the number of bodies.

local RECORD, ID = 100, 36
local threads = {}
local heads, bodies, deliveries, supply = {}, {}, "", 0

used = 0 -- global: done() reads it from the thread

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  for body in io.lines(args[1]) do
    table.insert(bodies, body)
    table.insert(heads, "POST /api/webhooks/whatsapp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
      .. "Content-Length: " .. #body .. "\r\nX-Event-Id: ")
  end
  local file = assert(io.open(args[2], "rb"))
  deliveries = file:read("*a")
  file:close()
  supply = #deliveries / RECORD
end

function request()
  local n = used % supply -- begins again when all are sent: `used` then tells, and the round is void
  used = used + 1
  local at, body = n * RECORD, n % #bodies + 1
  return heads[body] .. deliveries:sub(at + 1, at + ID) .. "\r\nX-Signature: "
    .. deliveries:sub(at + ID + 1, at + RECORD) .. "\r\n\r\n" .. bodies[body]
end

function done(summary, latency)
  local sent = 0
  for _, thread in ipairs(threads) do
    sent = sent + thread:get("used")
  end
  local errors = summary.errors
  io.write(string.format(
    '{"acknowledged":%d,"microseconds":%d,"sent":%d,"p50_us":%d,"p99_us":%d,"not_2xx":%d,"broken":%d,"late":%d}\n',
    summary.requests - errors.status, summary.duration, sent, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
