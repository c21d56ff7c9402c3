package download

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// httpTime is the format of dates in headers.
const httpTime = http.TimeFormat

// maxETag is the maximum length of an entity tag. A longer entity tag is
// ignored.
const maxETag = 1 << 10

// versionOf returns the state of a new part for a reply with the whole file.
func versionOf(resp *http.Response) state {
	s := state{Size: resp.ContentLength}
	if tag := resp.Header.Get("ETag"); len(tag) > 2 && !strings.Contains(tag[1:len(tag)-1], `"`) && len(tag) <= maxETag && tag[0] == '"' && tag[len(tag)-1] == '"' {
		s.ETag = tag
	}
	if modified, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		s.Modified = modified
		// A date is a strong validator if it is at least a second before the
		// date of the reply: RFC 9110, section 8.8.2.2. But if the entity tag
		// is weak, different files may have the same tag and the same date.
		date, err := http.ParseTime(resp.Header.Get("Date"))
		s.Strong = err == nil && date.Sub(modified) >= time.Second && resp.Header.Get("ETag") == ""
	}
	s.Digests = sentDigests(resp.Header, true)
	s.Type, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return s
}

// checkPartial checks a reply with the status 206. The request was for the byte
// at position from and the following bytes, up to the byte before position end.
// If end is -1, the request was for all bytes to the end of the file.
func (s *state) checkPartial(resp *http.Response, from, end int64) error {
	first, last, total, ok := parseContentRange(resp.Header.Get("Content-Range"))
	if end < 0 {
		end = total
	}
	if !ok || first != from || last != end-1 || s.Size >= 0 && total != s.Size {
		return fmt.Errorf("the server sent the range %q, not the requested one", resp.Header.Get("Content-Range"))
	}
	if n := resp.ContentLength; n >= 0 && n != end-first {
		return fmt.Errorf("the server sent the range %q in a body of %d bytes", resp.Header.Get("Content-Range"), n)
	}
	now := versionOf(resp)
	switch {
	case s.ETag != "" && now.ETag != s.ETag:
		return fmt.Errorf("the server sent a range of another version of the file: its entity tag is %q, want %q", resp.Header.Get("ETag"), s.ETag)
	case now.Type == "multipart/byteranges":
		return errors.New("the server sent several ranges, although one was requested")
	case s.ETag == "" && !now.Modified.Equal(s.Modified):
		return fmt.Errorf("the server sent a range of another version of the file: its date is %q, want %q", resp.Header.Get("Last-Modified"), s.Modified.UTC().Format(httpTime))
	}
	if s.Size < 0 {
		s.Size = total
	}
	return nil
}

// parseContentRange parses "bytes first-last/total". It refuses an unknown
// total.
func parseContentRange(s string) (first, last, total int64, ok bool) {
	s, found := strings.CutPrefix(s, "bytes ")
	span, size, found2 := strings.Cut(s, "/")
	from, to, found3 := strings.Cut(span, "-")
	if !found || !found2 || !found3 {
		return 0, 0, 0, false
	}
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	total, err3 := strconv.ParseInt(size, 10, 64)
	ok = err1 == nil && err2 == nil && err3 == nil && first >= 0 && last >= first && last < total
	return first, last, total, ok
}

// isFragment reports whether a reply with the status 200 has only a range of
// the file. In such a reply, Content-Range has no meaning (RFC 9110, section
// 14.4). So if no range was requested, an invalid header is ignored.
func isFragment(resp *http.Response) bool {
	header := resp.Header.Get("Content-Range")
	first, last, total, ok := parseContentRange(header)
	if !ok {
		return header != "" && resp.Request.Header.Get("Range") != ""
	}
	return first > 0 || last < total-1
}

// isVersion reports whether a reply with the whole file has the version of a
// part.
func (s *state) isVersion(now state) bool {
	return s.validator() != "" && s.validator() == now.validator()
}

// checkReplacement returns an error if the file of a reply must not replace
// the content of a part. This protects the part, because a captive portal or a
// login replies to any request with an HTML page.
func (s *state) checkReplacement(now state) error {
	if strings.Contains(now.Type, "html") && !strings.Contains(s.Type, "html") {
		return fmt.Errorf("the server sent a page of the type %s instead of the rest of the file, which has the type %q; to start again, remove the partial file", now.Type, s.Type)
	}
	if now.validator() == "" && now.Size != s.Size {
		return errors.New("the server sent a file of another length and without a validator instead of the rest of the file; to start again, remove the partial file")
	}
	return nil
}

// serverName returns the file name in the header Content-Disposition, or "" if
// there is none.
func serverName(h http.Header) (string, error) {
	header := h.Get("Content-Disposition")
	if header == "" {
		return "", nil
	}
	_, params, err := mime.ParseMediaType(header)
	if err != nil {
		return "", fmt.Errorf("the header Content-Disposition is invalid: %w", err)
	}
	name := params["filename"]
	if name == "" {
		return "", nil
	}
	if strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("%q begins with a dot, as files of settings do", name)
	}
	return name, CheckName(name)
}

// checkUncompressed returns an error if the server has compressed a range.
func (j *job) checkUncompressed(resp *http.Response) error {
	compressed, err := j.gzipped(resp)
	if compressed {
		return errors.New("the server compressed a range, although no compression was requested")
	}
	return err
}

// gzipped reports whether Get must decompress the body, because the server has
// compressed it without a request. Some servers also send such a header with a
// file that is itself compressed. Get recognizes such a file by its name, and
// does not decompress it.
func (j *job) gzipped(resp *http.Response) (bool, error) {
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return false, nil
	case "gzip", "x-gzip":
		for _, suffix := range []string{".gz", ".tgz", ".svgz", ".gzip", ".z"} {
			if strings.HasSuffix(strings.ToLower(j.Name), suffix) {
				return false, nil
			}
		}
		return true, nil
	default:
		return false, fmt.Errorf("the server compressed the file with %q, although no compression was requested", encoding)
	}
}
