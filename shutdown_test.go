package sse_test

func childMain(string) {}
