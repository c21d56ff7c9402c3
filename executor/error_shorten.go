package executor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// ShortenError shortens b, a result of EncodeError, to at most limit bytes.
// The limit must be at least 1024. If the error is too long, its text and
// the stack of a panic end with a note. The note has the number of missing
// bytes. If an error of a registered type does not fit, the reason replaces
// the error. ShortenError calls no method of the program.
func ShortenError(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	var w wireError
	if err := cborDecoder.Unmarshal(b, &w); err != nil {
		w = wireError{Text: fmt.Sprintf("concert: cannot decode an error of %d bytes: %v", len(b), err)}
	}
	w.Type = shortenedText(w.Type, limit/16)
	w.Stack = shortenedText(w.Stack, limit/4)
	w.Task = shortenedText(w.Task, limit/16)
	w.keepSentinels(limit / 16)
	const heads = 100 // bytes of the CBOR heads of all parts
	w.keepValues(limit*3/4 - len(w.Stack) - len(w.Task) - min(len(w.Text), limit/4) - heads)
	w.keepReasons(limit / 8)
	text := w.Text
	w.Text = ""
	w.Text = shortenedText(text, limit-len(w.encode())-itemHead)
	return w.encode()
}

// encode returns w in CBOR.
func (w *wireError) encode() []byte { return must(cborEncoder.Marshal(w)) }

// keepSentinels removes names of sentinels until the remaining ones have at
// most limit bytes in total.
func (w *wireError) keepSentinels(limit int) {
	w.Sentinels = slices.DeleteFunc(w.Sentinels, func(name string) bool {
		limit -= len(name) + itemHead
		return limit < 0
	})
}

// keepValues removes the largest encoded errors until the remaining ones have
// at most limit bytes in total. For each removed error, it adds the reason to
// w.Lost.
func (w *wireError) keepValues(limit int) {
	names := slices.SortedFunc(maps.Keys(w.Values), func(a, b string) int {
		return cmp.Or(len(w.Values[a])-len(w.Values[b]), strings.Compare(a, b))
	})
	for _, name := range names {
		n := len(w.Values[name])
		if limit -= n + len(name) + 2*itemHead; limit < 0 {
			delete(w.Values, name)
			w.lose(name, fmt.Sprintf("the encoded error has %d bytes, which is too much", n))
		}
	}
}

// keepReasons shortens the reasons in w.Lost, and removes reasons until the
// remaining ones have at most limit bytes in total.
func (w *wireError) keepReasons(limit int) {
	for _, name := range slices.Sorted(maps.Keys(w.Lost)) {
		w.Lost[name] = shortenedText(w.Lost[name], 500)
		if limit -= len(w.Lost[name]) + len(name) + 2*itemHead; limit < 0 {
			delete(w.Lost, name)
		}
	}
}

// lose records in w.Lost why w.Values does not have the encoded error of the
// registered type with this name.
func (w *wireError) lose(name, why string) {
	if w.Lost == nil {
		w.Lost = make(map[string]string)
	}
	w.Lost[name] = bounded(why)
}

// itemHead is the maximum length of the head of a text or of bytes in CBOR.
const itemHead = 9

// bounded returns s, shortened to at most maxErrorText bytes.
func bounded(s string) string { return shortenedText(s, maxErrorText) }

// shortenedText returns a text of at most limit bytes: s itself, or the
// beginning of s and a note with the number of missing bytes.
func shortenedText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	missing := 0
	if i := strings.LastIndex(s, cutNote); i >= 0 { // s itself was shortened before
		var n int
		if _, err := fmt.Sscanf(s[i+len(cutNote):], "%d bytes more)", &n); err == nil && n > 0 {
			s, missing = s[:i], n
		}
	}
	note := fmt.Sprintf("%s%d bytes more)", cutNote, len(s)+missing)
	end := max(0, min(len(s), limit-len(note)))
	for end > 0 && end < len(s) && !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s%s%d bytes more)", s[:end], cutNote, len(s)-end+missing)
}

const cutNote = " ... ("
