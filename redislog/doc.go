// Package redislog is a [backplane.Log] and a [backplane.Store] on a Redis
// server, for programs that run as several processes.
//
//	client := redis.NewClient(&redis.Options{Addr: "redis:6379"})
//	…
//	log, err := redislog.Open(ctx, client, "cards", nil)
//	store, err := redislog.OpenStore(ctx, client, "cards", nil)
//
// Names may be anything, and are escaped where they stand in Redis's. It is tested with Redis 7.0, alone and as a cluster.
//
// # What is promised
//
// All processes see the entries of a log in one order, which is that of a
// caller's own calls. Each gets an entry once; where it cannot be proven that
// none is missing, there is a [backplane.ErrGap]. A log is a stream, whose
// entries have numbers without a hole. Messages that Redis publishes only wake
// those who follow; they look once a second without any.
//
// An entry that Append has returned a cursor for is in the memory of one
// server. What becomes of it then is for the server's settings to say:
//
//   - A server that keeps nothing on disk, or a snapshot now and then as Redis
//     does by default, has lost entries after a crash, or all of them. With
//     appendonly yes it loses those of the last second at most, if the machine
//     dies; with appendfsync always as well, none.
//   - A replica is sent entries after Append has returned. When it takes over
//     (Sentinel, Cluster), the newest of them can be gone.
//
// Neither is ever silent: whoever had seen an entry that is gone gets an ErrGap,
// and so do all who follow when the log begins anew. But nobody is told of an
// entry that no one had seen.
//
// The same goes for a store's records: after a takeover two processes can both
// hold a lock. The revision of the second is the greater one, as long as the
// servers' clocks agree, so that what the lock guards can refuse the first. Times
// to live run on the server's clock.
//
// docs/scaling.md, in this module's repository, tells what becomes of streams and
// locks when something dies, and what a log costs.
//
// # The server
//
// maxmemory-policy must be noeviction: any other may remove parts of a log or a
// store. Besides its History a log takes some 200 bytes for each entry of the last
// three minutes, to recognize its id (go test -bench IDs -benchtime 100000x): 36 MB
// at 1000 a second. A server that is full takes no entries until there is room.
//
// A user of Redis's needs these permissions, with the space in place of sse:
//
//	~{sse}:* &{sse}:*
//	+ping +subscribe +eval +evalsha +publish +time +get +set
//	+xadd +xlen +xrange +xrevrange +xtrim
//	+hget +hset +hdel +hscan +zadd +zrem +zrange +zrangebyscore +zscore
//
// In a cluster all of a space is on one server. More than one of these share
// the load of several spaces.
//
// # The client
//
// Any client of go-redis's that talks to the server that takes writes will do:
// one that reads from replicas does not read from them here. Each call of Append
// and Swap takes a connection of its pool while it waits, and each of Follow and
// Watch one besides the pool. Attempts are given up after two seconds, and
// repeated; the client keeps the connection of one for its ReadTimeout all the
// same, unless ContextTimeoutEnabled is set. So PoolSize is to be greater than
// the number of calls at once.
package redislog
