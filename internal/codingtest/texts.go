package codingtest

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// parse returns which event it is.
func parse(data string) (set string, n int, err error) {
	set, rest, _ := strings.Cut(data, " ")
	number, _, _ := strings.Cut(rest, " ")
	n, err = strconv.Atoi(number)
	return set, n, err
}

// add returns the data of the next event of a set, or of a client's own, which resembles
// those before.
func (m *mix) add(set string, random int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.texts[set])
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d ", set, n)
	for i := range n * 7919 % 40 {
		fmt.Fprintf(&b, "<li id=%d>%x</li>", i, n*i*i%(1<<(i%30)))
	}
	if n%100 == 99 {
		b.WriteString(strings.Repeat(b.String(), 40))
	}
	b.WriteString(m.random(random))
	m.texts[set] = append(m.texts[set], b.String())
	return b.String()
}

// random returns text that is hardly smaller when it is compressed.
func (m *mix) random(n int) string {
	raw := make([]byte, n*3/4)
	for i := range raw {
		raw[i] = byte(m.Uint32())
	}
	return base64.RawStdEncoding.EncodeToString(raw)
}

// text returns the data of an event that there was, or else the empty string.
func (m *mix) text(set string, n int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n < 0 || n >= len(m.texts[set]) {
		return ""
	}
	return m.texts[set][n]
}

// sent returns how many events of a set there were.
func (m *mix) sent(set string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.texts[set])
}
