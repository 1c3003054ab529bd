-- What wrk sends, and what it says in the end: a line of JSON. Its first argument is a file with the body.
function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  file:close()
end

function done(summary, latency, requests)
  local errors = summary.errors
  local faults = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '{"requests": %d, "duration": %d, "faults": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, faults, latency:percentile(50), latency:percentile(99)))
end
