package get

import (
	"strings"
	"testing"
)

func TestUnique(t *testing.T) {
	for name, row := range map[string]struct {
		text string
		fold bool
		want string // the names, or the beginning of the error
	}{
		"same line":            {"http://h/a\nhttp://h/b\nhttp://h/a", false, "a b"},
		"digest is added":      {"http://h/a\nhttp://h/a sha256=" + sumA, false, "a[sha256=" + sumA + "]"},
		"other digest":         {"http://h/a sha256=" + sumB + "\nhttp://h/a sha256=" + sumA, false, "list:1 and list:2 are the same file with two different sha256 checksums"},
		"other URL":            {"http://h/a\nhttp://i/a", false, `list:1 and list:2 would both be "a"; give the file another name, with name=NAME`},
		"other name":           {"http://h/a\nhttp://h/a name=b", false, "a b"},
		"case":                 {"http://h/README\nhttp://h/readme", false, "README readme"},
		"case that is ignored": {"http://h/README\nhttp://h/readme", true, `list:1 and list:2 would both be "readme"`},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := parseList(strings.NewReader(row.text), "list")
			for i := range list {
				if err == nil {
					err = list[i].check(false)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			list, err = unique(list, row.fold)
			var names []string
			for _, w := range list {
				for _, d := range w.digests() {
					w.name += "[" + d.String() + "]"
				}
				names = append(names, w.name)
			}
			got := strings.Join(names, " ")
			if err != nil {
				got = err.Error()
			}
			if got != row.want && (err == nil || !strings.HasPrefix(got, row.want)) {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}
