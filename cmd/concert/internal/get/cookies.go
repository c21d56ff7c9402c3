package get

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// readCookies reads a file of cookies in the format of Netscape. A line has
// one cookie. Its fields have tabs between them: the domain, whether the
// domain includes subdomains, the path, whether the cookie needs https, the
// time of its expiry, its name, and its value. The notes list the lines with
// cookies that cannot be sent. Errors and notes do not contain values of
// cookies, which may be secret.
func readCookies(name string) (jar http.CookieJar, notes []string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("--cookies: %w", err)
	}
	defer f.Close()
	jar, err = cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
	if err != nil {
		return nil, nil, fmt.Errorf("--cookies: %w", err)
	}
	lines := bufio.NewScanner(decoded(f))
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimRight(lines.Text(), "\r")
		text, httpOnly := strings.CutPrefix(text, "#HttpOnly_")
		if strings.TrimSpace(text) == "" || text[0] == '#' && !httpOnly {
			continue
		}
		u, cookie, err := parseCookie(text)
		if err != nil {
			return nil, nil, fmt.Errorf("--cookies: %s:%d: %w", name, n, err)
		}
		if cookie.Valid() != nil {
			notes = append(notes, fmt.Sprintf("--cookies: %s:%d: the cookie has characters that cannot be sent, and is not used", name, n))
			continue
		}
		jar.SetCookies(u, []*http.Cookie{cookie})
	}
	if err := lines.Err(); err != nil {
		return nil, nil, fmt.Errorf("--cookies: cannot read %s: %w", name, err)
	}
	return jar, notes, nil
}

// parseCookie parses a line, and returns the cookie and a URL that may set it.
func parseCookie(line string) (*url.URL, *http.Cookie, error) {
	fields := strings.Split(line, "\t")
	if len(fields) == 6 {
		fields = append(fields, "") // an empty value at the end of the line
	}
	if len(fields) != 7 {
		return nil, nil, fmt.Errorf("the line has %d fields, want 7 with tabs between them: is this a cookie file in the format of Netscape?", len(fields))
	}
	host := strings.TrimPrefix(fields[0], ".")
	seconds, err := strconv.ParseFloat(fields[4], 64)
	if err != nil || host == "" {
		return nil, nil, fmt.Errorf("the line has no domain, or its time of expiry is not a number")
	}
	c := &http.Cookie{Name: fields[5], Value: fields[6], Path: fields[2], Secure: strings.EqualFold(fields[3], "TRUE")}
	if strings.EqualFold(fields[1], "TRUE") {
		c.Domain = host
	}
	if seconds > 0 { // for 0, the cookie expires when the browser ends
		c.Expires = time.Unix(int64(min(seconds, 1<<40)), 0)
	}
	if inner, ok := strings.CutPrefix(c.Value, `"`); ok && strings.HasSuffix(inner, `"`) {
		c.Value, c.Quoted = strings.TrimSuffix(inner, `"`), true
	}
	return &url.URL{Scheme: "https", Host: host, Path: "/"}, c, nil
}
