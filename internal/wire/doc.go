// Package wire is the format of event streams: the fields and lines of events,
// and the chunks that carry them over HTTP/1.1. It knows bytes, and nothing of
// streams or of the network.
package wire
