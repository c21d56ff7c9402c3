package download

import (
	"net/url"
	"strings"
)

// SafeURL returns the text of a URL for messages and logs. The text has no
// user, no password, no fragment, and no secret value of a query parameter.
// The name of a parameter tells whether its value is secret, as in signed
// URLs.
func SafeURL(u *url.URL) string {
	safe := *u
	safe.User, safe.Fragment, safe.RawFragment = nil, "", ""
	if safe.RawQuery != "" {
		params := strings.FieldsFunc(safe.RawQuery, func(r rune) bool { return r == '&' || r == ';' })
		for i, p := range params {
			name, _, hasValue := strings.Cut(p, "=")
			if plain, err := url.QueryUnescape(name); hasValue && (err != nil || isSecret(plain)) {
				params[i] = name + "=..."
			}
		}
		safe.RawQuery = strings.Join(params, "&")
	}
	return safe.String()
}

// secretWords are parts of the names of query parameters whose values are
// secrets. The parameters of the signed URLs of AWS, Google, Azure and
// CloudFront have at least one of these words, as have the usual names of
// tokens and keys.
var secretWords = []string{"sig", "token", "secret", "password", "passwd", "credential", "auth", "key", "policy", "session", "pass", "hmac", "hdnts", "ticket"}

func isSecret(name string) bool {
	name = strings.ToLower(name)
	for _, w := range secretWords {
		if strings.Contains(name, w) {
			return true
		}
	}
	return name == "pw" || name == "pwd" || name == "code" || name == "jwt"
}
