package executor

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// noted is a registered error with a text of any length.
type noted struct{ Note string }

func (n *noted) Error() string { return "noted" }

func init() { RegisterErrorType[*noted]("concert.noted") }

// TestShortenError: ShortenError shortens errors of every form to the limit,
// and keeps the parts that fit.
func TestShortenError(t *testing.T) {
	long := strings.Repeat("long \u00e9", 1<<19)
	panicked := guarded(func() { panic(fmt.Errorf("%s: %w", long, io.EOF)) })
	for name, err := range map[string]error{
		"text":              fmt.Errorf("%s: %w: %w", long, io.EOF, &noted{"n"}),
		"panic":             panicked,
		"value":             fmt.Errorf("%w: %w", io.EOF, &noted{long[:1<<20-100]}),
		"text and value":    fmt.Errorf("%s: %w: %w", long, io.EOF, &noted{long[:1<<20-100]}),
		"reason":            fmt.Errorf("%w: %w", io.EOF, &noted{long}),
		"errors in a field": fmt.Errorf("x: %w", errors.Join(io.EOF, &nestedA{Err: errors.New(long)})),
	} {
		t.Run(name, func(t *testing.T) {
			encoded := EncodeError(err)
			for _, most := range []int{1024, 5000, 1 << 18, 1 << 20, 10 << 20} {
				t.Run(fmt.Sprint("at most ", most), func(t *testing.T) {
					b := ShortenError(encoded, most)
					if len(b) > most || len(encoded) <= most && len(b) != len(encoded) {
						t.Errorf("%s: %d bytes became %d, at most %d are allowed", name, len(encoded), len(b), most)
					}
					got := DecodeError(b)
					if !errors.Is(got, io.EOF) || !utf8.ValidString(got.Error()) {
						t.Errorf("%s, %d: %.100v", name, most, got)
					}
					text := got.Error()
					var p *PanicError
					if errors.As(got, &p) != (name == "panic") {
						t.Errorf("%s, %d: %T", name, most, got)
					} else if p != nil {
						text = fmt.Sprint(p.Value)
						if !strings.Contains(p.Stack(), "error_shorten_test.go") && most > 5000 {
							t.Errorf("the stack became %s", p.Stack())
						}
					}
					if len(err.Error()) > 1<<20 && p == nil {
						start, note, _ := strings.Cut(text, cutNote)
						missing := 0
						fmt.Sscanf(note, "%d bytes more)", &missing)
						if !strings.HasPrefix(err.Error(), start) || len(start)+missing != len(err.Error()) || len(start) < min(most, 1<<20)/4-100 {
							t.Errorf("%s, %d: %d bytes of %d, note %q", name, most, len(start), len(err.Error()), note)
						}
					}
					var n *noted
					if found := errors.As(got, &n); found != (name == "text" || (name == "value" || name == "text and value") && len(encoded) <= most) {
						t.Errorf("%s, %d: there is a registered error: %v", name, most, found)
					}
					if r, ok := got.(*RemoteError); ok && most < 1<<20 && (name == "value" || name == "text and value") {
						if why := fmt.Sprint(r.Unwrap()); !strings.Contains(why, "could not be encoded: the encoded error has 1048488 bytes") || !strings.Contains(why, "too much") {
							t.Errorf("%s, %d: %s", name, most, why)
						}
					}
				})
			}
		})
	}
	if got := DecodeError(ShortenError([]byte(strings.Repeat("x", 2000)), 1024)); !strings.Contains(got.Error(), "cannot decode an error of 2000 bytes") {
		t.Errorf("bytes that are no encoded error became %v", got)
	}
}

// TestShortenError_Random: whatever the lengths of the parts are, the shortened
// error is not longer than the limit.
func TestShortenError_Random(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string { return strings.Repeat("\u00e9", r.IntN(1<<r.IntN(13))) }
	for range 2000 {
		w := wireError{Type: text(), Text: text(), Stack: text(), Task: text(), Panic: r.IntN(2) == 0, Values: map[string][]byte{}, Lost: map[string]string{}}
		for range r.IntN(1 << r.IntN(8)) {
			w.Sentinels = append(w.Sentinels, fmt.Sprint("name", r.IntN(1000)))
			w.Values[fmt.Sprint(r.IntN(100))] = []byte(text())
			w.Lost[fmt.Sprint(r.IntN(100))+text()] = text()
		}
		most := 1024 + r.IntN(8000)
		b := ShortenError(w.encode(), most)
		var got wireError
		if err := cborDecoder.Unmarshal(b, &got); err != nil || len(b) > most || got.Text == "" && w.Text != "" {
			t.Fatalf("%d bytes became %d, at most %d are allowed: %v", len(w.encode()), len(b), most, err)
		}
	}
}

func TestShortenedText(t *testing.T) {
	for _, c := range []struct {
		s    string
		most int
		want string
	}{
		{"short", 5, "short"},
		{strings.Repeat("x", 50), 40, strings.Repeat("x", 20) + " ... (30 bytes more)"},
		{strings.Repeat("x", 50), 3, " ... (50 bytes more)"},
		{strings.Repeat("x", 40) + " ... (7 bytes more)", 40, strings.Repeat("x", 20) + " ... (27 bytes more)"},
		{strings.Repeat("x", 40) + " ... (nothing) yyyy", 40, strings.Repeat("x", 20) + " ... (39 bytes more)"},
		{strings.Repeat("\u00e9", 30), 31, "\u00e9\u00e9\u00e9\u00e9\u00e9 ... (50 bytes more)"},
	} {
		if got := shortenedText(c.s, c.most); got != c.want {
			t.Errorf("shortenedText(%q, %d) = %q (%d bytes), want %q", c.s, c.most, got, len(got), c.want)
		}
	}
}
