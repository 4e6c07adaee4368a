//go:build unix

package web

// This file is the page for people with a browser, and its files. They are
// part of the program.

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"time"
)

//go:embed page/index.html page/page.css page/page.js page/icon.svg page/favicon.ico
var pageFiles embed.FS

// policy lets the page load its own files and speak with this server, by
// WebSocket too ('self' covers ws of the same host and port), and do nothing
// else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageFile is one file as it is sent.
type pageFile struct {
	contentType string
	tag         string
	data        []byte
}

var page = map[string]*pageFile{
	"/":         readPage("index.html", "text/html; charset=utf-8"),
	"/page.css": readPage("page.css", "text/css; charset=utf-8"),
	"/page.js":  readPage("page.js", "text/javascript; charset=utf-8"),
	"/icon.svg": readPage("icon.svg", "image/svg+xml"),
	// The same icon, for browsers that take no SVG, and for what is no page
	// of ours to name one in: they ask for it here.
	"/favicon.ico": readPage("favicon.ico", "image/vnd.microsoft.icon"),
}

func readPage(name, contentType string) *pageFile {
	data, err := pageFiles.ReadFile(path.Join("page", name))
	if err != nil {
		panic("web: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return &pageFile{contentType: contentType, tag: `"` + hex.EncodeToString(sum[:8]) + `"`, data: data}
}

// file answers with f, or that it has not changed.
func (q *request) file(f *pageFile) {
	h := q.w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	http.ServeContent(q.w, q.r, "", time.Time{}, bytes.NewReader(f.data))
}
