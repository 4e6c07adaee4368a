//go:build unix

package web

// This file serves the page for browsers. Its files are embedded in the program.

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed page/*.html page/*.css page/*.js page/*.svg page/*.ico
var pageFiles embed.FS

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	// The icon for browsers without SVG, and for documents that cannot name an
	// icon: browsers request it by themselves.
	".ico": "image/vnd.microsoft.icon",
}

// policy lets the page load its own files and connect to this server, also by
// WebSocket ('self' covers ws of the same host and port), and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageFile is one file, ready to send.
type pageFile struct {
	contentType string
	tag         string
	data        []byte
}

// page maps paths to the page's files.
var page = readPage()

func readPage() map[string]*pageFile {
	files := map[string]*pageFile{}
	entries, err := pageFiles.ReadDir("page")
	for _, e := range entries {
		var data []byte
		if data, err = pageFiles.ReadFile("page/" + e.Name()); err != nil {
			break
		}
		sum := sha256.Sum256(data)
		files["/"+strings.TrimSuffix(e.Name(), "index.html")] = &pageFile{
			contentType: contentTypes[path.Ext(e.Name())],
			tag:         `"` + hex.EncodeToString(sum[:8]) + `"`,
			data:        data,
		}
	}
	if err != nil {
		panic("web: " + err.Error())
	}
	return files
}

// file answers with f, or with 304 if it has not changed. Browsers revalidate each
// time (no-cache), so all modules of a page are of one version.
func (q *request) file(f *pageFile) {
	h := q.w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	http.ServeContent(q.w, q.r, "", time.Time{}, bytes.NewReader(f.data))
}
