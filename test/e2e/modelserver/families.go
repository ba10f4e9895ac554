package modelserver

// write says everything the server knows. The caller holds mu.
func (s *Server) write(e *exposition) {
	labels := join(`engine="0"`, `model_name="`+s.model+`"`)
	one := []string{labels}

	e.counter("process_cpu_seconds", "Total user and system CPU time spent in seconds.", []string{""}, []float64{s.totals.CPUSeconds})
	e.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "", seconds(s.started))
	e.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", "", 1.5e9)

	e.created = s.started
	e.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", labels, s.load.Running)
	e.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", labels, s.load.Waiting)
	e.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", labels, s.load.KVCacheUsage)
	e.counter("vllm:prompt_tokens", "Number of prefill tokens processed.", one, []float64{s.totals.PromptTokens})
	e.counter("vllm:generation_tokens", "Number of generation tokens processed.", one, []float64{s.totals.GenerationTokens})
	e.counter("vllm:request_success", "Count of successfully processed requests.",
		[]string{
			join(`engine="0"`, `finished_reason="stop"`, `model_name="`+s.model+`"`),
			join(`engine="0"`, `finished_reason="length"`, `model_name="`+s.model+`"`),
			join(`engine="0"`, `finished_reason="abort"`, `model_name="`+s.model+`"`),
		},
		[]float64{s.totals.Requests, 0, 0})
	e.histogram("vllm:iteration_tokens_total", "Histogram of number of tokens per engine_step.", labels, &s.step)
	e.histogram("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", labels, &s.ttft)
	e.histogram("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", labels, &s.e2e)
}
