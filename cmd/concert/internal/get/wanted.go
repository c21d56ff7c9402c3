package get

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"concert/download"
)

// wanted is a file to download.
type wanted struct {
	url    string
	host   string  // the host of url, with its port
	name   string  // the name of the file in its directory
	dir    string  // the directory of the file within the directory of -d, with slashes; usually empty
	more   *extras // nil if the file has none
	source string  // the name of the list, or "argument"
	line   int32   // the line of the list, or the number of the argument
	object int32   // the number of the object in a JSON list, from 1 up; otherwise 0
}

// extras has the fields that only few files of a long list need.
type extras struct {
	mirrors []string // further addresses of the file
	digests []download.Digest
}

// mirrors returns the further addresses of the file.
func (w *wanted) mirrors() []string {
	if w.more == nil {
		return nil
	}
	return w.more.mirrors
}

// digests returns the digests that the file must have.
func (w *wanted) digests() []download.Digest {
	if w.more == nil {
		return nil
	}
	return w.more.digests
}

// addMirror adds an address of the file, unless the file has it already.
func (w *wanted) addMirror(url string) {
	if url == w.url || slices.Contains(w.mirrors(), url) {
		return
	}
	if w.more == nil {
		w.more = &extras{}
	}
	w.more.mirrors = append(w.more.mirrors, url)
}

// where returns the argument, or the line of the list, for messages.
func (w *wanted) where() string {
	if w.source == argument {
		return fmt.Sprintf("%s %d", w.source, w.line)
	}
	if w.object > 0 {
		return fmt.Sprintf("%s:%d: object %d", w.source, w.line, w.object)
	}
	return fmt.Sprintf("%s:%d", w.source, w.line)
}

// argument is the source of a file whose URL is an argument.
const argument = "argument"

// shown returns the URL without secrets.
func (w *wanted) shown() string {
	u, err := url.Parse(w.url)
	if err != nil {
		return "a URL that cannot be read"
	}
	return download.SafeURL(u)
}

// path returns the path of the file within the directory of -d, with slashes.
func (w *wanted) path() string {
	if w.dir == "" {
		return w.name
	}
	return w.dir + "/" + w.name
}

// directory returns the directory of the file. The parameter d is the argument
// of -d.
func (w *wanted) directory(d string) string { return filepath.Join(d, filepath.FromSlash(w.dir)) }

// hosts returns the hosts of the URL and of the mirrors.
func (w *wanted) hosts() []string {
	hosts := []string{w.host}
	for _, m := range w.mirrors() {
		if u, err := url.Parse(m); err == nil && !slices.Contains(hosts, u.Host) {
			hosts = append(hosts, u.Host)
		}
	}
	return hosts
}

// Check returns an error if a URL cannot be downloaded. The error begins with
// where, the source of the URL.
func Check(rawURL, where string) error {
	w := &wanted{url: rawURL, source: where}
	u, err := checkURL(rawURL)
	if err == nil {
		w.host = u.Host
		_, err = download.Name(rawURL)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", where, trimmed{err})
	}
	return nil
}

// checkURL parses a URL that can be downloaded.
func checkURL(raw string) (*url.URL, error) {
	u, err := download.ParseURL(raw)
	if err == nil {
		return u, nil
	}
	if u, e := url.Parse(raw); e == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return nil, fmt.Errorf("%s is not an http or https URL", safeText(raw))
	}
	return nil, err
}

// safeText returns a text for a message, in quotes. If the text may be an
// address with a password, safeText hides the text.
func safeText(s string) string {
	u, err := url.Parse(s)
	switch {
	case err == nil && u.Opaque == "":
		return strconv.Quote(download.SafeURL(u))
	case !strings.ContainsAny(s, "@:"):
		return strconv.Quote(s)
	}
	return "the text"
}

// trimmed is an error of package download, whose text has no name of the
// package. This name says nothing to a user of the command.
type trimmed struct{ error }

// Error returns the text without the name of the package.
func (t trimmed) Error() string { return strings.TrimPrefix(t.error.Error(), "download: ") }

// Unwrap returns the error of the package.
func (t trimmed) Unwrap() error { return t.error }

// check completes the description of a file, or returns an error if the
// description is wrong.
func (w *wanted) check(urlDirs bool) error {
	u, err := checkURL(w.url)
	if err != nil {
		return w.fail(err, "")
	}
	w.host = u.Host
	for _, m := range w.mirrors() {
		if _, err := checkURL(m); err != nil {
			return w.fail(fmt.Errorf("mirror: %w", trimmed{err}), "")
		}
	}
	if urlDirs {
		if w.dir, err = directoryOf(u); err != nil {
			return w.fail(err, "download it without --url-dirs")
		}
	}
	if w.name != "" {
		return w.fail(download.CheckName(w.name), "")
	}
	w.name, err = download.Name(w.url)
	return w.fail(err, w.renaming())
}

// renaming returns a text that says how the user can give the file another
// name.
func (w *wanted) renaming() string {
	if w.source == argument {
		return "give the file another name, with -o FILE for one URL, or with name=NAME after the URL"
	}
	return "give the file another name, with name=NAME in its line"
}

// fail returns an error that begins with the source of the URL (w.where). The
// parameter advice says what to do; it may be empty.
func (w *wanted) fail(err error, advice string) error {
	if err == nil {
		return nil
	}
	if advice != "" {
		return fmt.Errorf("%s: %w; %s", w.where(), trimmed{err}, advice)
	}
	return fmt.Errorf("%s: %w", w.where(), trimmed{err})
}

// directoryOf returns the directory of a URL's path, with slashes. It decodes
// the elements one by one. So an encoded slash does not separate elements:
// CheckName refuses the element that contains it.
func directoryOf(u *url.URL) (string, error) {
	path := u.EscapedPath()
	var elements []string
	for _, e := range strings.Split(path[:strings.LastIndex(path, "/")+1], "/") {
		if e == "" {
			continue
		}
		name, err := url.PathUnescape(e)
		if err == nil {
			err = download.CheckName(name)
		}
		if err != nil {
			return "", err
		}
		elements = append(elements, name)
	}
	return strings.Join(elements, "/"), nil
}

// addDigest adds a digest. It returns an error if the file has a different
// digest of the same algorithm.
func (w *wanted) addDigest(d download.Digest) error {
	for _, have := range w.digests() {
		if have.Algorithm == d.Algorithm {
			if have.Hex != d.Hex {
				return fmt.Errorf("two different %s checksums, %s and %s", d.Algorithm, have.Hex, d.Hex)
			}
			return nil
		}
	}
	if w.more == nil {
		w.more = &extras{}
	}
	w.more.digests = append(w.more.digests, d)
	return nil
}

// setAttribute sets an attribute of a list or of the command line, such as
// name=NAME or sha256=HEX. It reports false if there is no such attribute.
func (w *wanted) setAttribute(text string) (known bool, err error) {
	key, value, _ := strings.Cut(text, "=")
	if key != "name" && !slices.Contains(digestNames, key) {
		return false, nil
	}
	if value == "" {
		return true, fmt.Errorf("%s= without a value", key)
	}
	if key == "name" {
		if w.name != "" {
			return true, errors.New("a second name")
		}
		w.name = value
		return true, nil
	}
	d, err := download.ParseDigest(text)
	if err != nil {
		return true, err
	}
	return true, w.addDigest(d)
}

// digestNames are the algorithms of checksums.
var digestNames = []string{"sha256", "sha512", "sha384", "sha1", "md5", "crc32c"}
