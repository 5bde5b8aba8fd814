module example.org/sse

go 1.25.0
