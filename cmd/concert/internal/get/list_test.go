package get

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

var (
	sumA = strings.Repeat("a1", 32)
	sumB = strings.Repeat("b2", 32)
)

// describe returns the content of a list in one line for each file.
func describe(list []*wanted) string {
	var b strings.Builder
	for _, w := range list {
		fmt.Fprintf(&b, "%s %v %q %v\n", w.url, w.mirrors(), w.name, w.digests())
	}
	return b.String()
}

func TestParseList(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"URLs":              {"http://h/a\n\n\thttps://h/b \r\n", "http://h/a [] \"\" []\nhttps://h/b [] \"\" []\n"},
		"comments":          {"# x\n  # y\nhttp://h/a#f # z\nhttp://h/b #\"\n", "http://h/a#f [] \"\" []\nhttp://h/b [] \"\" []\n"},
		"name":              {"http://h/a name=b", `http://h/a [] "b" []` + "\n"},
		"name with spaces":  {`http://h/a name="my # file" sha1=` + sumA[:40], `http://h/a [] "my # file" [sha1=` + sumA[:40] + "]\n"},
		"escapes in a name": {`http://h/a name="a\"b\\c\d"`, `http://h/a [] "a\"b\\c\\d" []` + "\n"},
		"quote in a name":   {`http://h/a name=5"`, `http://h/a [] "5\"" []` + "\n"},
		"URL in quotes":     {`"http://h/a b" name=c`, `http://h/a b [] "c" []` + "\n"},
		"quote in a URL":    {`http://h/?q="a"`, `http://h/?q="a" [] "" []` + "\n"},
		"upper case":        {"HTTP://h/a sha256=" + strings.ToUpper(sumA), "HTTP://h/a [] \"\" [sha256=" + sumA + "]\n"},
		"mirrors":           {"http://h/a http://m/a https://n/a http://m/a http://h/a", "http://h/a [http://m/a https://n/a] \"\" []\n"},
		"sha256sum":         {sumA + "  http://h/a\n" + sumB + " *http://h/b name=c\n", "http://h/a [] \"\" [sha256=" + sumA + "]\nhttp://h/b [] \"c\" [sha256=" + sumB + "]\n"},
		"byte order mark":   {"\ufeffhttp://h/a", "http://h/a [] \"\" []\n"},
		"UTF-16":            {utf16Text("\ufeffhttp://h/ä\r\nhttp://h/b\r\n", binary.LittleEndian), "http://h/ä [] \"\" []\nhttp://h/b [] \"\" []\n"},
		"UTF-16 big endian": {utf16Text("\ufeffhttp://h/ä\r\n", binary.BigEndian), "http://h/ä [] \"\" []\n"},
		"CR only":           {"# x\rhttp://h/a\r\rhttp://h/b", "http://h/a [] \"\" []\nhttp://h/b [] \"\" []\n"},
		"CR CR LF":          {"http://h/a\r\r\nhttp://h/b\r\r\n", "http://h/a [] \"\" []\nhttp://h/b [] \"\" []\n"},
		"BOM and CR":        {"\ufeffhttp://h/a\rhttp://h/b\r", "http://h/a [] \"\" []\nhttp://h/b [] \"\" []\n"},
		"JSON array":        {"\n[\n{\"url\": \"http://h/a\", \"name\": \"x y\"}, {\"url\":\"http://h/b\",\"mirrors\":[\"http://m/b\"],\"sha256\":\"" + sumA + "\",\"digest\":\"md5=" + sumA[:32] + "\"}]\n", "http://h/a [] \"x y\" []\nhttp://h/b [http://m/b] \"\" [sha256=" + sumA + " md5=" + sumA[:32] + "]\n"},
		"JSON objects":      {"{\"url\":\"http://h/a\"}\n{\"url\":\"http://h/b\"} {\"url\":\"http://h/c\"}", "http://h/a [] \"\" []\nhttp://h/b [] \"\" []\nhttp://h/c [] \"\" []\n"},
		"empty":             {"", ""},
		"empty JSON":        {" [ ] ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := parseList(strings.NewReader(row.text), "list")
			if got := describe(list); err != nil || got != row.want {
				t.Errorf("parseList(%q) = %s, %v\nwant %s", row.text, got, err, row.want)
			}
		})
	}
}

// utf16Text encodes a text in UTF-16.
func utf16Text(s string, order binary.AppendByteOrder) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

func TestParseList_Errors(t *testing.T) {
	for text, want := range map[string]string{
		"\nhttp://h/a b":                                `list:2: "b" is neither name=NAME`,
		"http://h/a name=":                              "list:1: name= without a value",
		"http://h/a name=b name=c":                      "list:1: a second name",
		`http://h/a name="b`:                            "list:1: a double quote is not closed",
		`http://h/a name="b"c`:                          "list:1: a double quote is followed by text",
		"http://h/a sha256=" + sumA + " sha256=" + sumB: "list:1: two different sha256 checksums",
		"http://h/a sha256=12":                          `list:1: "12" is not a sha256 digest`,
		sumA + "  a":                                    `list:1: "a" is not an http or https URL; a file with checksums`,
		sumA[:34] + "  http://h/a":                      "list:1: ",
		"h\x00t\x00t\x00p\x00":                          "list:1: the line has a zero byte",
		"http://h/a\r\r\nhttp://h/b\x00\r":              "list:3: the line has a zero byte",
		"http://h/a\rhttp://h/b\r\n\rhttp://h/c name=":  "list:4: ",
		strings.Repeat("x", maxLine+1):                  "list:1: a line longer than",
		"[{}]":                                          `list:1: object 1: the object has no "url"`,
		"[\n\n  7]":                                     "list:3: object 1: want an object, not a number",
		"[{\"url\":\"http://h/a\"}\n{}]":                "list:2: object 2: expected comma after array element",
		"{\"url\":\"http://h/a\"}\n{\"url\": 3}":        `list:2: object 2: "url" cannot be a number`,
		"[{\n\"url\":\n3}]":                             `list:1: object 1: "url" cannot be a number`,
		"{\"url\":\"http://h/a\"}\n]":                   "list:2: object 2: ",
		"{\"url\":\"http://h/a\"}\n{\"u\": 3}":          `list:2: object 2: unknown field "u"`,
		"[{\"url\":\"http://h/a\"},\n":                  "list:1: object 2: the JSON ends too early",
		"[] [{\"url\":\"http://h/a\"":                   "list:1: object 1: the JSON ends too early",
	} {
		t.Run(want, func(t *testing.T) {
			list, err := parseList(strings.NewReader(text), "list")
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("parseList(%.80q) = %s, %v\nwant %s", text, describe(list), err, want)
			}
		})
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("http://h/a name=b sha256=" + strings.Repeat("e3", 32) + "\n# c\n\nhttps://h/c")
	f.Add("http://h/a name=../b")
	f.Add(strings.Repeat("x", 100_000))
	f.Add(sumA + " *http://h/a http://m/a # c\nhttp://h/b name=\"x \\\" y\"")
	f.Add(utf16Text("\ufeffhttp://h/a", binary.LittleEndian))
	f.Add(`[{"url":"http://h/a","mirrors":["http://m/a"],"name":"b","sha256":"` + sumA + `"}, {"url":"http://h/%2e"}]`)
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseList(strings.NewReader(s), "list")
		for i := 0; err == nil && i < len(list); i++ {
			err = list[i].check(true)
		}
		if err == nil {
			list, err = unique(list, false)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "list:") {
				t.Errorf("error without a line: %v", err)
			}
			return
		}
		paths := map[string]bool{}
		for _, w := range list {
			if w.name == "" || w.host == "" || !filepath.IsLocal(w.path()) || strings.Contains(w.name, "/") || paths[w.path()] {
				t.Errorf("%q: %+v", s, w)
			}
			paths[w.path()] = true
		}
	})
}

// TestParseList_NoSecret: an error for an address must not show the password
// in the address.
func TestParseList_NoSecret(t *testing.T) {
	for _, text := range []string{
		"http://h/a ftp://user:secret@h/a", "ftp://user:secret@h/a", "user:secret@h/a", "http://user:secret/@h/a", "//user:secret@h/a",
		"http://user:secret%@h/a", "http://h/a user:secret@h/a", sumA + " ftp://user:secret@h", "ftp://h/?token=secret", "http://h/a http://user:secret/@h",
	} {
		t.Run(text, func(t *testing.T) {
			list, err := parseList(strings.NewReader(text), "list")
			if err == nil {
				err = list[0].check(false)
			}
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v", err)
			}
		})
	}
}
