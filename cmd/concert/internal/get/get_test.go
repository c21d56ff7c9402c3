package get

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestSpread_OverHosts(t *testing.T) {
	var list []wanted
	for _, h := range strings.Split("aaaabbc", "") {
		list = append(list, wanted{host: h})
	}
	var got string
	for _, w := range spread(list) {
		got += w.host
	}
	if got != "abcabaa" {
		t.Errorf("spread() = %s, want abcabaa", got)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("http://h/a name=b sha256=" + strings.Repeat("e3", 32) + "\n# c\n\nhttps://h/c")
	f.Add("http://h/a name=../b")
	f.Add(strings.Repeat("x", 100_000))
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseList(strings.NewReader(s), "list")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "list:") {
				t.Errorf("error without a line: %v", err)
			}
			return
		}
		for _, w := range list {
			if w.name == "" || w.host == "" || !filepath.IsLocal(w.name) {
				t.Errorf("%q: %+v", s, w)
			}
		}
	})
}
