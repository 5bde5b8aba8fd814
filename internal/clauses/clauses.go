// Package clauses has the clauses of the HTML standard that decoders of event streams are
// tested with: the one in Go, and the module for browsers.
package clauses

// A Clause is a stream and its events. The lines of the stream end with LF; the tests also
// replace it by the other line ends. An event is written as type|data|id, with |retry if it has
// one, and events are separated by " / ".
type Clause struct{ Name, In, Want string }

// All are the clauses of the standard's sections 9.2.5 (the grammar) and 9.2.6 (its
// interpretation).
var All = []Clause{
	{"9.2.6, first example", "data: YHOO\ndata: +2\ndata: 10\n\n", "message|YHOO\n+2\n10|"},
	{"9.2.6, second example", ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n", "message|first event|1 / message|second event| / message| third event|"},
	{"9.2.6, second example: the last block is dropped without its blank line", ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n", "message|first event|1 / message|second event|"},
	{"9.2.6, third example", "data\n\ndata\ndata\n\ndata:", "message|| / message|\n|"},
	{"9.2.6, fourth example", "data:test\n\ndata: test\n\n", "message|test| / message|test|"},
	{"9.2, introduction: event types", "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n", "add|73857293| / remove|2153| / add|113411|"},
	{"9.2, introduction: data over lines", "data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\ndata: This is the third message.\n\n", "message|This is the first message.| / message|This is the second message, it\nhas two lines.| / message|This is the third message.|"},

	{"stream = [ bom ] *event: nothing is a stream", "", ""},
	{"stream = [ bom ] *event: blank lines alone", "\n\n\n", ""},
	{"One leading U+FEFF is ignored", "\uFEFFdata: x\n\n", "message|x|"},
	{"One leading U+FEFF is ignored: not two", "\uFEFF\uFEFFdata: x\n\ndata: y\n\n", "message|y|"},
	{"One leading U+FEFF is ignored: before a blank line", "\uFEFF\ndata: x\n\n", "message|x|"},
	{"One leading U+FEFF is ignored: before a comment", "\uFEFF:c\ndata: x\n\n", "message|x|"},
	{"One leading U+FEFF is ignored: later ones belong to the field's name", "data: x\n\n\uFEFFdata: y\n\n", "message|x|"},
	{"One leading U+FEFF is ignored: not after a blank line", "\n\uFEFFdata: y\n\n", ""},
	{"One leading U+FEFF is ignored: it is data elsewhere", "data: \uFEFF\n\n", "message|\uFEFF|"},
	{"One leading U+FEFF is ignored: two bytes of it are not one", "\xEF\xBBdata: x\n\ndata: y\n\n", "message|y|"},
	{"One leading U+FEFF is ignored: alone", "\uFEFF", ""},

	{"If the line starts with a colon, ignore the line", ": c\n:\n:data: x\ndata: y\n: c\n\n", "message|y|"},
	{"If the line starts with a colon: between data lines", "data: x\n:data\ndata: y\n\n", "message|x\ny|"},
	{"If the line starts with a colon: a block of comments is no event", ": ping\n\n:\n\n", ""},
	{"If the line contains a colon: the first one", "data: a:b: c\n\n", "message|a:b: c|"},
	{"If the line contains a colon: data of one", "data::\n\n", "message|:|"},
	{"If value starts with a space, remove it: one", "data:   x \n\n", "message|  x |"},
	{"If value starts with a space, remove it: no other white space", "data:\tx\n\ndata:\u00A0x\n\n", "message|\tx| / message|\u00A0x|"},
	{"If value starts with a space, remove it: the only one", "data: \n\n", "message||"},
	{"If value starts with a space, remove it: in every field", "event:  a\nid:  1\ndata: x\n\n", " a|x| 1"},
	{"Otherwise the whole line is the name: data", "data\n\n", "message||"},
	{"Otherwise the whole line is the name: event", "event: a\nevent\ndata: x\n\n", "message|x|"},
	{"Otherwise the whole line is the name: id", "id: 1\nid\ndata: x\n\n", "message|x|"},
	{"Otherwise the whole line is the name: retry", "retry\ndata: x\n\n", "message|x|"},

	{"Field names are compared literally: case", "Data: x\nDATA: x\nEvent: a\nID: 1\nRetry: 5\n\n", ""},
	{"Field names are compared literally: space before the colon", "data : x\n\n", ""},
	{"Field names are compared literally: space in front", " data: x\n\n", ""},
	{"Field names are compared literally: longer and shorter ones", "dat: x\ndata2: x\nd\ndatab\nevents: a\nids: 1\n\ndata: y\n\n", "message|y|"},
	{"Field names are compared literally: NUL", "data\x00: x\n\x00data: x\n\n", ""},
	{"Otherwise the field is ignored", "event: greeting\ncolor: blue\ndata: x\n\n", "greeting|x|"},
	{"Otherwise the field is ignored: between data lines", "data: x\ncolor: blue\ndata: y\n\n", "message|x\ny|"},

	{"event: set the event type buffer: the last one counts", "event: a\nevent: b\ndata: x\n\n", "b|x|"},
	{"event: set the event type buffer: after the data", "data: x\nevent: a\n\n", "a|x|"},
	{"event: set the event type buffer: empty is message", "event:\ndata: x\n\n", "message|x|"},
	{"event: set the event type buffer: message", "event: message\ndata: x\n\n", "message|x|"},
	{"event: set the event type buffer: anything", "event: \x00 é:\ndata: x\n\n", "\x00 é:|x|"},
	{"event: repeated", "event: a\ndata: x\n\nevent: a\ndata: y\n\nevent: b\ndata: z\n\n", "a|x| / a|y| / b|z|"},
	{"dispatch: the event type buffer is reset", "event: a\ndata: x\n\ndata: y\n\n", "a|x| / message|y|"},
	{"dispatch: without data the event type buffer is reset, too", "event: a\n\ndata: y\n\n", "message|y|"},

	{"data: append the value and a LF; dispatch: remove the last", "data: \ndata: x\ndata\ndata:\n\n", "message|\nx\n\n|"},
	{"data: empty lines in a row", "data\ndata\ndata\ndata\n\n", "message|\n\n\n|"},
	{"data: with other fields between", "data: a\nevent: e\ndata: b\nid: 1\ndata: c\nretry: 5\ndata: d\n\n", "e|a\nb\nc\nd|1|5ms"},
	{"data: NUL and control bytes", "data: \x00\x01\x7f\t\n\n", "message|\x00\x01\x7f\t|"},
	{"data: Unicode's other line ends do not end a line", "data: a\u0085b\u2028c\u2029d\x0be\x0cf\n\n", "message|a\u0085b\u2028c\u2029d\x0be\x0cf|"},
	{"dispatch: if the data buffer is empty, return", "event: a\nid: 1\nretry: 5\n\n", ""},
	{"dispatch: the data buffer is reset", "data: x\n\n\n\ndata: y\n\n", "message|x| / message|y|"},

	{"id: set the last event ID buffer", "id: 1\ndata: x\n\n", "message|x|1"},
	{"id: set the last event ID buffer: the last one counts", "id: 1\nid: 2\ndata: x\n\n", "message|x|2"},
	{"id: set the last event ID buffer: after the data", "data: x\nid: 1\n\n", "message|x|1"},
	{"id: if it contains NUL, ignore the field", "id: 1\n\nid: a\x00b\ndata: x\n\nid: \x00\ndata: y\n\n", "message|x|1 / message|y|1"},
	{"id: if it contains NUL: one before it in the block stays", "id: 1\nid: 2\x00\ndata: x\n\n", "message|x|1"},
	{"id: anything else", "id: \x01é: \ndata: x\n\n", "message|x|\x01é: "},
	{"dispatch: the buffer does not get reset", "id: 1\ndata: x\n\ndata: y\n\nid: 2\ndata: z\n\n", "message|x|1 / message|y|1 / message|z|2"},
	{"dispatch: the last event ID string is set, also without data", "id: 1\n\ndata: x\n\n", "message|x|1"},
	{"dispatch: an empty id resets it", "id: 1\ndata: x\n\nid\ndata: y\n\nid: 2\n\nid:\ndata: z\n\n", "message|x|1 / message|y| / message|z|"},
	{"dispatch: an empty id resets it, also without data", "id: 1\n\nid:\n\ndata: x\n\n", "message|x|"},

	{"retry: only ASCII digits", "retry: 1500\ndata: x\n\n", "message|x||1.5s"},
	{"retry: zeros", "retry: 0007\ndata: x\n\nretry: 0\ndata: y\n\n", "message|x||7ms / message|y|"},
	{"retry: otherwise ignore the field", "retry: 5\nretry: 1.5\nretry: -1\nretry: +1\nretry: 1s\nretry: 1 \nretry:  1\nretry:\nretry: 0x1\nretry: \u0661\nretry: 1_0\nretry: 1\x00\ndata: x\n\n", "message|x||5ms"},
	{"retry: the last one counts", "retry: 1\nretry: 2\ndata: x\n\n", "message|x||2ms"},
	{"retry: only of its own block", "retry: 1\n\ndata: x\n\nretry: 2\ndata: y\n\ndata: z\n\n", "message|x| / message|y||2ms / message|z|"},

	{"end of file: pending data must be discarded", "data: x\n\ndata: y\n", "message|x|"},
	{"end of file: pending data must be discarded: in a line", "data: x\n\nid: 1\ndata: y", "message|x|"},

	{"decode as UTF-8", "event: été\nid: 豆\ndata: €豆腐\U0001F600\n\n", "été|€豆腐\U0001F600|豆"},
	{"decode as UTF-8: one U+FFFD for each maximal subpart", "data: \xE2\x82x\xF0\x9F\x98\xF0\x9F\x98\x80\xC0\x80\n\n", "message|\uFFFDx\uFFFD\U0001F600\uFFFD\uFFFD|"},
	{"decode as UTF-8: at a line's end", "data: \xE2\x82\ndata: \xAC\n\n", "message|\uFFFD\n\uFFFD|"},
	{"decode as UTF-8: before a colon", "data\xE2: x\ndata: y\n\n", "message|y|"},
	{"decode as UTF-8: in a type and an id", "event: \xFF\nid: \xF0\x9F\ndata: x\n\nevent: \xFF\ndata: y\n\n", "\uFFFD|x|\uFFFD / \uFFFD|y|\uFFFD"},
}
