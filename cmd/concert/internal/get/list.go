package get

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"concert/download"
)

// wanted is a file to download.
type wanted struct {
	url    string
	host   string
	name   string // the name of the file in the directory
	sha256 string // "" if not known
	where  string // the argument, or the line of the list, for messages
}

// shown returns the URL without a password.
func (w wanted) shown() string {
	u, err := url.Parse(w.url)
	if err != nil {
		return "a URL that cannot be read"
	}
	return u.Redacted()
}

const maxLine = 64 << 10

// parseList reads a list, which has a line for each file. A line has the URL,
// and optionally name=NAME and sha256=HEX in any order. parseList ignores empty
// lines and lines that begin with #.
func parseList(r io.Reader, source string) ([]wanted, error) {
	var list []wanted
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		where := fmt.Sprintf("%s:%d", source, n)
		text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if text == "" || text[0] == '#' {
			continue
		}
		fields := strings.Fields(text)
		w := wanted{url: fields[0], where: where}
		for _, f := range fields[1:] {
			key, value, _ := strings.Cut(f, "=")
			field := map[string]*string{"name": &w.name, "sha256": &w.sha256}[key]
			switch {
			case field == nil:
				return nil, fmt.Errorf("%s: %q is neither name=NAME nor sha256=HEX (a space in a URL is %%20)", where, f)
			case *field != "":
				return nil, fmt.Errorf("%s: a second %s", where, key)
			case value == "":
				return nil, fmt.Errorf("%s: %s= without a value", where, key)
			}
			*field = value
		}
		if err := w.check(); err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: a line longer than %d bytes: is this a list of URLs?", source, n+1, maxLine)
	} else if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", source, n+1, err)
	}
	return list, nil
}

// Check returns an error if a URL cannot be downloaded. The error begins with
// where the URL is from.
func Check(url, where string) error {
	w := wanted{url: url, where: where}
	return w.check()
}

// check completes the description of a file, or returns what is wrong with it.
func (w *wanted) check() error {
	u, err := url.Parse(w.url)
	switch {
	case strings.Contains(w.url, " name=") || strings.Contains(w.url, " sha256="):
		return fmt.Errorf("%s: name= and sha256= are for a list (-i LIST); a space in a URL is %%20", w.where)
	case err != nil:
		return fmt.Errorf("%s: not a URL", w.where)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%s: %q is not an http or https URL", w.where, u.Redacted())
	}
	w.host = u.Host
	if w.name == "" {
		w.name, err = download.Name(w.url)
		if err != nil {
			return fmt.Errorf("%s: %w; give the file another name, with name= in a list (-i LIST)", w.where, err)
		}
	} else if err := download.CheckName(w.name); err != nil {
		return fmt.Errorf("%s: %w", w.where, err)
	}
	if w.sha256 != "" && !download.IsSHA256(w.sha256) {
		return fmt.Errorf("%s: %q is not a SHA-256 checksum: 64 hexadecimal digits", w.where, w.sha256)
	}
	return nil
}

// checkNames returns an error if two files of the list would have the same
// name. The comparison ignores case, as some file systems do.
func checkNames(list []wanted) error {
	seen := make(map[string]wanted, len(list))
	for _, w := range list {
		key := strings.ToLower(w.name)
		if other, twice := seen[key]; twice {
			return fmt.Errorf("%s and %s would both be %q; give one of them another name, with name= in a list (-i LIST)", other.where, w.where, w.name)
		}
		seen[key] = w
	}
	return nil
}

// spread orders the list so that hosts alternate. Otherwise the files of a slow
// host would delay the files of other hosts.
func spread(list []wanted) []wanted {
	byHost := make(map[string][]wanted)
	var hosts []string
	for _, w := range list {
		if byHost[w.host] == nil {
			hosts = append(hosts, w.host)
		}
		byHost[w.host] = append(byHost[w.host], w)
	}
	ordered := make([]wanted, 0, len(list))
	for len(hosts) > 0 {
		rest := hosts[:0]
		for _, h := range hosts {
			ordered = append(ordered, byHost[h][0])
			if byHost[h] = byHost[h][1:]; len(byHost[h]) > 0 {
				rest = append(rest, h)
			}
		}
		hosts = rest
	}
	return ordered
}
