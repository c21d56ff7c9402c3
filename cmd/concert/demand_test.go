package main

import (
	"bytes"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// isDemand reports whether serveDemand serves a request.
func isDemand(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/need/") || strings.HasPrefix(r.URL.Path, "/refuse/") || strings.HasPrefix(r.URL.Path, "/named/")
}

// serveDemand serves files whose requests or replies have special headers:
//
//	/need/NAME/VALUE/F  the request must have a header with this name and value
//	/refuse/NAME/F      the request must not have a header with this name
//	/named/NAME/F       the reply gives the file another name
//
// Where this is not so, the reply has the status 403.
func (f *faulty) serveDemand(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	ok := true
	switch parts[0] {
	case "need":
		ok = len(parts) == 4 && r.Header.Get(parts[1]) == parts[2]
	case "refuse":
		ok = r.Header.Get(parts[1]) == ""
	case "named":
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": parts[1]}))
	}
	if !ok {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	name := path.Base(r.URL.Path)
	w.Header().Set("ETag", `"`+name+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body(name)))
}
