// Package natslog implements [backplane.Log] and [backplane.Store] on NATS JetStream, for
// programs that run as several processes.
//
//	nc, err := nats.Connect("nats://a,nats://b,nats://c", natslog.ConnOptions()...)
//	…
//	log, err := natslog.Open(ctx, nc, "cards", nil)
//	store, err := natslog.OpenStore(ctx, nc, "cards", nil)
//
// It needs nats-server 2.11 or later with JetStream, as a cluster of three where a server
// may die. Do not embed the servers in the processes of the program: those are many and
// are often replaced, while a cluster should have few, permanent members.
//
// # Guarantees
//
// All processes see the entries of a log in one order, which contains each caller's
// entries in the order of its calls. Each process gets an entry once; where it cannot be
// proven that no entry is missing, it gets a [backplane.ErrGap]. An entry for which Append
// has returned a cursor is stored on a majority of the servers.
//
// An entry survives the death of a minority of the server processes. It may not survive a
// power failure of all servers: by default a server syncs its disk every two minutes
// (sync_interval); with sync_interval: always, each entry waits for the disks. A lost end
// of the log is detected, and is a gap to every follower that has seen it.
//
// When the server that leads a log or a store dies, another one is elected after 4 to 9
// seconds; meanwhile Append and Swap wait. This is up to NATS and cannot be configured.
//
// A store's times to live run on the server's clock.
//
// docs/scaling.md, in this module's repository, has a complete program, the proxy in front
// of it, and what happens to streams and locks when something dies.
//
// # Streams and permissions
//
// A log named cards is the stream SSE_cards with the subject sse.log._cards, and a store
// of that name is the key-value bucket sse_cards. Names that contain other characters than
// letters, digits, hyphen and underscore are encoded, and names of more than 128 bytes are
// hashed. A user needs permission to publish to these subjects ($KV.sse_cards.> for the
// store), to publish to $JS.API.STREAM.INFO, STREAM.CREATE, STREAM.MSG.GET,
// CONSUMER.CREATE, CONSUMER.DELETE and CONSUMER.MSG.NEXT of these streams, and to
// subscribe to _INBOX.>.
//
// The settings of an existing stream are not changed, so that two versions of a program do
// not keep changing them back and forth. Change them with the nats command; a stream whose
// settings break a guarantee is refused. A stream that was deleted is created again by the
// next process that needs it: to followers of the log that is a gap, and to watchers all
// records are deleted.
package natslog
