package main

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// lines are where the keys of a block stand in its file; "" is the block itself.
type lines map[string]int

func linesOf(n *yaml.Node) lines {
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	out := lines{"": n.Line}
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = n.Content[i].Line
		}
	}
	return out
}

// of is the line that an error is about: it begins with a key of the block, or
// is about the block.
func (l lines) of(err error) int {
	key, _, _ := strings.Cut(err.Error(), " ")
	if line, ok := l[strings.TrimSuffix(key, ":")]; ok {
		return line
	}
	return l[""]
}

// at names the file and the line of an error.
func (l lines) at(path string, err error) error {
	return fmt.Errorf("configuration %s: line %d: %w", path, l.of(err), err)
}

// blame finds where a value stands that its type refuses, as durations do
// without a word of where. It takes away everything else, level by level, for as
// long as what is left is refused. It spoils the document. "" where all is taken.
func blame(document *yaml.Node, into any) string {
	refused := func() bool {
		return document.Decode(reflect.New(reflect.TypeOf(into).Elem()).Interface()) != nil
	}
	if !refused() {
		return ""
	}
	key, at := "", document
	for n := document; n != nil; {
		at = n
		if n = guilty(n, refused); n != nil && at.Kind == yaml.MappingNode {
			key = at.Content[0].Value + ": "
		}
	}
	return fmt.Sprintf("line %d: %s", at.Line, key)
}

// guilty is the part of a node that is refused by itself, and leaves the node
// with that part alone; nil where it needs more than one.
func guilty(n *yaml.Node, refused func() bool) *yaml.Node {
	step := 1
	if n.Kind == yaml.MappingNode {
		step = 2
	}
	all := n.Content
	for i := 0; i+step <= len(all); i += step {
		n.Content = all[i : i+step]
		if refused() {
			return n.Content[step-1]
		}
	}
	n.Content = all
	return nil
}
