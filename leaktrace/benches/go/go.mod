module leaktrace.test/benches

go 1.27
