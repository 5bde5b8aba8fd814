// Package zstd compresses event streams with Zstandard, which has a larger window than
// gzip: of a page of more than 32 KiB that is sent again with small changes it sends the
// changes alone, a hundredth or less.
//
//	group := sse.Set{AcceptOptions: &sse.AcceptOptions{
//		Compress: []sse.Coding{zstd.Coding(), sse.Gzip()},
//	}}
//
// Only clients that say so get it: Chromium and Firefox over TLS and from localhost, curl.
// Others, such as WebKitGTK, get gzip. A [Transport] makes Go clients accept it.
//
// Like gzip, an event of a set is compressed once for all members; see
// [sse.AcceptOptions]. A member that has missed something, or was sent an event of its
// own, gets events that are compressed alone until the set's compressor begins again,
// which is when there are too many such deliveries. A set with members that accept zstd
// has a compressor of 5.6 MiB, for 16 sets at a time; events of further sets are
// compressed alone.
package zstd
