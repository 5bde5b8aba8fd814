//go:build !linux

// Command compression measures on Linux alone.
package main

func main() { panic("the benchmark runs only on Linux") }
