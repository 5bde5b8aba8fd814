module example.org/sse/zstd

go 1.26.0

require (
	example.org/sse v0.0.0-00010101000000-000000000000
	github.com/klauspost/compress v1.20.4
)

replace example.org/sse => ../
