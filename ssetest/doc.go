// Package ssetest has what programs test their event streams with: a [Server]
// that can be closed while streams are open, on a socket or in memory; a
// [Stream], which opens one and records what comes; and a [Recorder] for what is
// read in another way.
//
// # A test
//
// The handler is the program's own. Closing the server ends its streams.
//
//	server := ssetest.NewServer(handler)
//	defer server.Close()
//
//	page := server.Open(t, "/events")
//	if e := page.Next(); e.Data != "hello" {
//		t.Errorf("got %+v", e)
//	}
//
// A stream is open a moment before its handler has added it to a [sse.Set]. A
// test that dispatches an event to one waits for that:
//
//	ssetest.AwaitLen(t, &group, 1)
//	group.Dispatch("", "hello")
//
// # Fake time
//
// In a [testing/synctest] bubble a server in memory is what is needed, since a
// bubble's time stands still while somebody waits for the network. There an
// hour takes no time, so that keep-alives, timeouts and expiring histories can
// be tested; and [testing/synctest.Wait] waits until nothing more happens by
// itself, so that afterwards [Recorder.Events] is all there is.
//
//	synctest.Test(t, func(t *testing.T) {
//		server := ssetest.NewMemoryServer(handler)
//		defer server.Close()
//		page := server.Open(t, "/events")
//		time.Sleep(time.Hour)
//		...
//
// Make and close the server in the bubble. Both kinds of server speak HTTP/1.1
// and HTTP/2, and on both kinds a stream can be detached; see
// [sse.EventSource.Detach].
//
// # Bad clients
//
// [Stream.Stall] makes a client that reads nothing more, as one does whose
// laptop sleeps: a test can see that others do not wait for it, and what becomes
// of it. [Stream.Close] leaves, and [Stream.Reconnect] comes back and asks for
// what was missed. How an [sse.Client] comes back, and when, can be recorded
// with [Record].
package ssetest
