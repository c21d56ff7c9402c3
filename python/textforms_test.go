package python

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// texts returns n random texts. A text consists of one element of each list
// in parts.
func texts(random *rand.Rand, n int, parts ...[]string) []string {
	all := make([]string, n)
	for i := range all {
		for _, part := range parts {
			all[i] += part[random.IntN(len(part))]
		}
	}
	return all
}

// TestTextForms_AsPythonWrites: a text must be valid if and only if Python
// writes this text for a value.
func TestTextForms_AsPythonWrites(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	digits := []string{"", "0", "00", "1", "5", "10", "120", "000000", "0000000", "000001", "0000001", "012"}
	offsets := []string{"", "+00:00", "-00:00", "+01:30", "-23:59", "+01:00:00", "+01:00:01", "-00:00:30", "-00:00:00", "Z", "+24:00", "+1:00"}
	two := []string{"00", "01", "09", "12", "23", "24", "29", "30", "31", "59", "60", "1"}
	all := map[string][]string{
		"Decimal": slices.Concat(
			texts(random, 10_000, []string{"", "-", "+"}, digits, []string{"", "."}, digits, []string{"", "", "E", "e"}, []string{"", "+", "-"}, []string{"", "0", "1", "3", "6", "7", "8", "05", "100"}),
			texts(random, 200, []string{"", "-"}, []string{"NaN", "sNaN", "nan", "Infinity", "Inf", "-0", "1E+999999999999999999", "1E+1000000000000000000", "9E-999999999999999999"}, []string{"", "0", "1", "120", "01"})),
		"time": texts(random, 3000, two, []string{":"}, two, []string{":", ""}, two, []string{"", "", ".000000", ".000400", ".5", ".999999"}, offsets),
		"date": texts(random, 3000, []string{"0000", "0001", "1900", "2000", "2023", "9999", "999", "10000"}, []string{"-"}, two, []string{"-", ""}, two),
		"UUID": {"00112233-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233445566778899aabbccddeeff", "{00112233-4455-6677-8899-aabbccddeeff}", "00112233-4455-6677-8899-aabbccddeef", "urn:uuid:00112233-4455-6677-8899-aabbccddeeff"},
	}
	p, err := New(1, interpreters(t)["fresh"])
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f := Source[map[string][]string, map[string][]bool]("f", `
import datetime, decimal, uuid

makers = {"Decimal": decimal.Decimal, "UUID": uuid.UUID, "time": datetime.time.fromisoformat, "date": datetime.date.fromisoformat}

def passes(make, text):
    try:
        v = make(text)
        return (v.isoformat() if hasattr(v, "isoformat") else str(v)) == text
    except (ArithmeticError, ValueError):
        return False

def f(all):
    return {kind: [passes(makers[kind], text) for text in texts] for kind, texts in all.items()}
`)
	want, err := submit(t, p, f, all)
	if err != nil {
		t.Fatal(err)
	}
	for kind, texts := range all {
		passed := 0
		for i, text := range texts {
			got := checkText(kind, text)
			if got {
				passed++
			}
			if got != want[kind][i] {
				t.Errorf("%s %q passes: %t, want %t", kind, text, got, want[kind][i])
			}
		}
		if passed < len(texts)/100 || passed == len(texts) {
			t.Errorf("%d of %d texts of a %s pass", passed, len(texts), kind)
		}
	}
	for text, want := range map[string]bool{"1/3": true, "-ff/a": true, "0/1": true, "1/0": false, "1/00": false, "1/03": true, "1": false, "1/-3": false, "F/1": false, "1/g": false, "/1": false, strings.Repeat("f", 10_000) + "/1": true} {
		if got := checkText("Fraction", text); got != want {
			t.Errorf("Fraction %.20q passes: %t, want %t", text, got, want)
		}
	}
	if checkText("no such kind", "x") {
		t.Error("a text of no kind passes")
	}
}
