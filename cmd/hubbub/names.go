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

// This file is what guests of a room may be called, so that each is one person to
// whoever reads:
//
//	names   who is called what, by how it looks
//	unfit   why a name that somebody wants is none
//	free    a name that will do, from what a client brought
//
// Letters of different alphabets that look alike are not found out.

// names are taken, by their looks.
type names map[string]*guest

// enter has g be called so, and by no other name any more.
func (n names) enter(g *guest, name string) {
	n.leave(g)
	g.name, g.look = name, look(name)
	n[g.look] = g
}

func (n names) leave(g *guest) { delete(n, g.look) }

// taken says that somebody else than g looks so.
func (n names) taken(name string, g *guest) bool {
	other := n[look(name)]
	return other != nil && other != g
}

// look is the same for names that cannot be told apart: case does not count, nor
// what nobody sees.
func look(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Join_Control, unicode.Variation_Selector) {
			return -1
		}
		return unicode.ToLower(unicode.ToUpper(r))
	}, name)
}

const longestNick = 32 // bytes

// unfit says why nobody may be called so; "": one may.
func unfit(name string) string {
	if _, err := proto.ParseName(name); err != nil || len(name) > longestNick || name != fit(name) {
		return fmt.Sprintf("a name has at most %d bytes, all to be seen, and no space, <, >, * or /", longestNick)
	}
	return ""
}

// fit is name with nothing in it that would look like what the room says, like
// nothing, or like a part of what stands beside it.
func fit(name string) string {
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

// free is name, or one like it, made fit, that nobody has; id is whose it is to
// be.
func (n names) free(name string, id uint64) string {
	const number = 11 // bytes, behind the name
	name = cut(fit(name), longestNick)
	for free := name; ; id++ {
		if !n.taken(free, nil) {
			return free
		}
		free = fmt.Sprintf("%s-%d", cut(name, longestNick-number), id)
	}
}

// cut is the beginning of text, of at most so many bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
