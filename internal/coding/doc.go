// Package coding compresses the events of a set once for all streams.
//
// What a compressed piece refers to is a distance in what the client's decoder has put
// out, whoever sent it. So a stream may be sent a piece that a set's members share only
// if its decoder has seen the set's events without a gap, and nothing else, since the
// oldest byte to which the piece may refer. Otherwise the stream is sent the same event
// as a piece of its own, which refers to nothing before itself and is made once as well.
// What is sent to one stream alone is stored, and never referred to. A keep-alive is a part
// of the set's events for the streams that can share these, and for no others.
//
// A [Coding] is gzip, or what another module provides. A [Coder] has a set's compressor,
// an [Event] the pieces of one event, and a [State] is what one decoder has seen: the
// rule is its method [State.Event].
//
// Nothing checks that a decoder gets the right bytes: browsers do not look at gzip's
// checksum. A compressed stream is written to through its State alone.
package coding
