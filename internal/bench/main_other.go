//go:build !linux

// Command bench runs on Linux only: its clients use epoll, and the kernel reports the
// servers' memory.
package main

import "log"

func main() { log.Fatal("bench needs Linux: run it there, or in a container") }
