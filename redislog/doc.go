// Package redislog implements [backplane.Log] and [backplane.Store] on a Redis server, for
// programs that run as several processes.
//
//	client := redis.NewClient(&redis.Options{Addr: "redis:6379"})
//	…
//	log, err := redislog.Open(ctx, client, "cards", nil)
//	store, err := redislog.OpenStore(ctx, client, "cards", nil)
//
// Names may contain any bytes; they are escaped in Redis's keys. The package is tested with
// Redis 7.0, as a single server and as a cluster.
//
// # Guarantees
//
// All processes see the entries of a log in one order, which contains each caller's entries
// in the order of its calls. Each process gets an entry once; where it cannot be proven that
// no entry is missing, it gets a [backplane.ErrGap]. A log is a Redis stream, whose entries
// are numbered without a hole. Published messages only wake the followers, which also look
// once a second without a message.
//
// An entry for which Append has returned a cursor is in the memory of one server. Whether
// it survives depends on the server's settings:
//
//   - A server without persistence, or with an occasional snapshot as by default, loses
//     entries in a crash, or all of them. With appendonly yes it loses at most those of
//     the last second, if the machine dies; with appendfsync always as well, none.
//   - A replica is sent entries after Append has returned. When it takes over (Sentinel,
//     Cluster), the newest of them can be lost.
//
// Such a loss is never silent: a follower that has seen an entry that is lost gets an
// ErrGap, and so do all followers when the log starts again from the beginning. But the loss
// of an entry that no follower has seen is not reported.
//
// The same applies to a store's records: after a takeover two processes can both hold a
// lock. The revision of the second holder is greater, as long as the servers' clocks agree,
// so that what the lock guards can refuse the first. Times to live run on the server's
// clock.
//
// docs/scaling.md, in this module's repository, describes what happens to streams and locks
// when something dies, and what a log costs.
//
// # The server
//
// maxmemory-policy must be noeviction: any other policy may remove parts of a log or a
// store, and is refused by Open and OpenStore if there is a limit, and the user may send
// INFO. In addition to its History a log needs some 200 bytes for each entry of the last
// three minutes, to recognize its id (go test -bench IDs -benchtime 100000x): 36 MB at 1000
// a second. A server that is full accepts no entries until there is room.
//
// A Redis user needs these permissions, with the space in place of sse:
//
//	~{sse}:* &{sse}:*
//	+ping +info +subscribe +eval +evalsha +publish +time +get +set
//	+xadd +xlen +xrange +xrevrange +xtrim
//	+hget +hset +hdel +hscan +zadd +zrem +zrange +zrangebyscore +zscore
//
// A round trip must take less than half a second: an attempt, for which a connection may have
// to be made, has 2 s.
//
// In a cluster all keys of a space are on one server. To share the load among several
// servers, use several spaces.
//
// # The client
//
// Any go-redis client works if it is connected to the server that accepts writes; a client
// that reads from replicas does not do so here. Each call of Append and Swap holds a
// connection of the client's pool while it waits, and each call of Follow and Watch holds one
// outside the pool. An attempt is abandoned after two seconds and repeated; but the client
// keeps the connection of an abandoned attempt for its ReadTimeout, unless
// ContextTimeoutEnabled is set. So set PoolSize to more than the number of concurrent calls.
package redislog
