//go:build !linux

// Command bench runs on Linux alone: its clients are read by epoll, and memory
// is as the kernel tells it.
package main

import "log"

func main() { log.Fatal("bench needs Linux: run it there, or in a container") }
