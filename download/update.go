package download

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
)

// ErrImplausible is wrapped by the error of Get if Request.Update is set, and
// the reply is not a plausible new version: an empty body for a file with
// content, or an HTML page for a file that is no page. Captive portals, login
// pages and broken servers send such replies with the status 200. The existing
// file stays.
var ErrImplausible = errors.New("download: not a plausible new version of the file")

// implausible is ErrImplausible with a reason.
type implausible string

// Error returns the reason.
func (e implausible) Error() string { return string(e) }

// Is reports whether target is ErrImplausible.
func (e implausible) Is(target error) bool { return target == ErrImplausible }

// checkPlausible returns an error if a complete part is not a plausible new
// version of the existing file. If the request has digests, they have already
// decided this, and checkPlausible returns nil.
func (j *job) checkPlausible() error {
	if len(j.Digests) > 0 || !j.Update || j.known == nil || j.known.info.Size() == 0 {
		return nil
	}
	p := j.part
	if p.size.Load() == 0 {
		return implausible(fmt.Sprintf("the server sent an empty file, and the existing file has %d bytes; it stays", j.known.info.Size()))
	}
	if !strings.Contains(p.state.Type, "html") || !isPage(p.reader()) || slices.Contains(pageSuffixes, strings.ToLower(path.Ext(j.Name))) {
		return nil
	}
	f, err := os.Open(j.path(j.Name))
	if err != nil {
		return err
	}
	defer f.Close()
	if isPage(f) {
		return nil
	}
	return implausible(fmt.Sprintf("the server sent a page of the type %s, as captive portals and login pages do, and the existing file is no such page; it stays", p.state.Type))
}

// pageSuffixes are the suffixes of files that are pages.
var pageSuffixes = []string{".html", ".htm", ".shtml", ".xhtml"}

// pageStarts are the beginnings of pages in lower case. The function
// http.DetectContentType knows more of them.
var pageStarts = []string{"<meta", "<link", "<title", "<base", "<style", "<center", "<form"}

// isPage reports whether the first bytes of a file are HTML. XML is a page
// only if it contains HTML. So a feed (RSS) and a drawing (SVG) are not pages.
func isPage(r io.Reader) bool {
	start := make([]byte, 512)
	n, _ := io.ReadFull(r, start)
	start = bytes.TrimPrefix(start[:n], []byte("\xef\xbb\xbf")) // the byte order mark
	text := strings.ToLower(strings.TrimLeft(string(start), " \t\r\n\f"))
	if strings.HasPrefix(text, "<?xml") {
		return strings.Contains(text, "<html")
	}
	return strings.Contains(http.DetectContentType(start), "html") ||
		slices.ContainsFunc(pageStarts, func(tag string) bool { return strings.HasPrefix(text, tag) })
}
