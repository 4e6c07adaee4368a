//go:build unix

package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"hubbub.example/internal/proto"
	"hubbub.example/internal/visible"
)

// This file decides which names the guests of a chat room can have, so that no
// reader takes one guest for another:
//
//	names    whose name is whose, as names are compared
//	invalid  why a name is not allowed
//	free     an allowed name, made of the one that a client brought
//
// Letters of different alphabets that look alike count as different.

// names maps each name, folded, to its guest.
type names map[string]*guest

// enter gives g a name in place of its last one.
func (n names) enter(g *guest, name string) {
	n.leave(g)
	g.name, g.folded = name, fold(name)
	n[g.folded] = g
}

func (n names) leave(g *guest) { delete(n, g.folded) }

// taken reports whether a guest other than g has the name.
func (n names) taken(name string, g *guest) bool {
	other := n[fold(name)]
	return other != nil && other != g
}

// fold returns the same for names that look the same: without case, and without
// invisible characters.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Join_Control, unicode.Variation_Selector) {
			return -1
		}
		return unicode.ToLower(unicode.ToUpper(r))
	}, name)
}

const longestNick = 32 // bytes

// invalid returns why a name is not allowed; "": it is.
func invalid(name string) string {
	if _, err := proto.ParseName(name); err != nil || len(name) > longestNick || name != sanitize(name) {
		return fmt.Sprintf("names are 1–%d bytes of visible characters without spaces, <, >, * or /", longestNick)
	}
	return ""
}

// sanitize replaces what would look like a line of the room itself, like nothing,
// or like a part of the text beside the name.
func sanitize(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune("<>*/", r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || r == '\u2800' {
			return '_'
		}
		return r
	}, string(visible.AppendLine(nil, []byte(name))))
	if first, _ := utf8.DecodeRuneInString(name); unicode.IsMark(first) {
		name = "_" + name
	}
	return name
}

// free is name, sanitized, or with a number if it is taken; id is the guest's.
func (n names) free(name string, id uint64) string {
	const number = 11 // bytes after the name
	name = cut(sanitize(name), longestNick)
	for free := name; ; id++ {
		if !n.taken(free, nil) {
			return free
		}
		free = fmt.Sprintf("%s-%d", cut(name, longestNick-number), id)
	}
}

// cut returns the beginning of text, at most that many bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
