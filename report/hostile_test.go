package report

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	gtext "github.com/yuin/goldmark/text"
	"golang.org/x/net/html"
)

// corpus is text that tries to be more than text.
var corpus = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'/**/onload='x`, `</style><script>`, `</title><b>`, `{{.R}}`, `javascript:alert(1)`, `<!--`, `]]>`, `</details></td></tr></table>`, `&lt;b&gt; &#60;`,
	"# heading", "- item\n- item", "1. one", "1) one", "> quote", "***", "---", "===", "| a | b |\n| - | - |", "a|b\\|c", "\\", "`code", "``` fence\n```", "~~~", "*em* **strong** _em_ __strong__ ~~gone~~",
	"[link](http://evil.example)", "![img](http://evil.example/x.png)", "<http://evil.example>", "http://evil.example/x", "https://evil.example", "www.evil.example", "ftp://evil.example", "mailto:a@evil.example", "a@evil.example", "xmpp:a@evil.example", "@everyone", "#123", "[^1]", "[x]: http://evil.example", "$x$ $$y$$", "a\\\nb", "    indented", "\tindented", "a  \nb", "&amp; &nbsp; &#35;", ":smile:", "<details>", "<!here>", "- [ ] task", "+ plus", "= eq", "!", "![", "x!", "x_y_z _a", "12", "12.", "a\r\nb\rc",
	"/close", "!123", "%\"v1\"", "{+ added +}", "[- gone -]", "~label", "[[_TOC_]]", "=cmd|' /C calc'!A0", "+1", "@SUM(1)", "::error::x", "%0A::set-output name=x::y",
	"\x1b[31mred\x1b[0m", "\x1b]8;;http://evil.example\x07x\x1b]8;;\x07", "\x1b]52;c;eA==\x07", "\u202egnp.exe", "\u2066x\u2069", "zero\u200bwidth", "\ufeffbom", "\xff\xfe", "a\x00b", "\x9b31m", "\u2028x\u2029", "x\U000e0041", strings.Repeat("long ", 2500), strings.Repeat("`", 300), "", " ",
}

// poisoned puts a text into every string of a report but those whose words are
// the program's own: the status of the verdict and of sources, and what the
// tags say is an address or an id.
func poisoned(r *Report, text string) *Report {
	out := cleaned(*r)
	poison(reflect.ValueOf(&out).Elem(), "", text)
	out = cleaned(out)
	return &out
}

func poison(v reflect.Value, tag, text string) {
	switch v.Kind() {
	case reflect.String:
		if name := v.Type().Name(); name != "VerdictStatus" && name != "Status" && tag != "url" && tag != "hex" && tag != "keep" && v.Len() > 0 {
			if tag == "evidence" {
				text = "e " + text // else it is left out as a repetition of the cause's sentence
			}
			v.SetString(text)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), tag, text)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), tag, text)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			t := f.Tag.Get("clean")
			if keepsMeaning[v.Type().Name()+"."+f.Name] {
				t = "keep"
			}
			if v.Type().Name() == "Evidence" && f.Name == "Text" {
				t = "evidence"
			}
			poison(v.Field(i), t, text)
		}
	}
}

// keepsMeaning are words that decide what is shown, not texts that are shown.
var keepsMeaning = map[string]bool{"Evidence.Verdict": true, "Query.Source": true, "Chart.Unit": true, "LoadStat.Name": true}

func everywhere(f func(name string, r *Report)) {
	for _, s := range []sample{severalCauses(), inconclusive()} {
		f(s.name, s.report())
	}
}

func TestHostileTextKeepsTheStructureOfHTML(t *testing.T) {
	everywhere(func(name string, r *Report) {
		want := htmlStructure(t, render(t, writeHTML, poisoned(r, "harmless")))
		for _, text := range corpus {
			if got := htmlStructure(t, render(t, writeHTML, poisoned(r, orHarmless(text)))); got != want {
				t.Errorf("%s: %.40q changes the page: %s", name, text, difference(got, want))
			}
		}
	})
}

func TestHostileTextKeepsTheStructureOfMarkdown(t *testing.T) {
	everywhere(func(name string, r *Report) {
		want := markdownStructure(render(t, writeUnshortened, poisoned(r, "harmless")))
		for _, text := range corpus {
			if got := markdownStructure(render(t, writeUnshortened, poisoned(r, orHarmless(text)))); got != want {
				t.Errorf("%s: %.40q changes the document: %s", name, text, difference(got, want))
			}
		}
	})
}

func TestHostileTextKeepsTheStructureOfCommonMark(t *testing.T) {
	r := severalCauses().report()
	flat := func(w io.Writer, r *Report) error {
		_, err := fmt.Fprint(w, markdownWithin(r, ladder[:1], 1<<30, true))
		return err
	}
	want := markdownStructure(render(t, flat, poisoned(r, "harmless")))
	if strings.Contains(want, "HTML") || strings.Contains(want, "Table") {
		t.Error("CommonMark alone has neither tables nor HTML here")
	}
	for _, text := range corpus {
		if got := markdownStructure(render(t, flat, poisoned(r, orHarmless(text)))); got != want {
			t.Errorf("%.40q changes the document: %s", text, difference(got, want))
		}
	}
}

func FuzzStructure(f *testing.F) {
	for _, text := range corpus {
		f.Add(text)
	}
	r := severalCauses().report()
	wantHTML := htmlStructure(f, render(f, writeHTML, poisoned(r, "harmless")))
	wantMarkdown := markdownStructure(render(f, writeUnshortened, poisoned(r, "harmless")))
	f.Fuzz(func(t *testing.T, text string) {
		bad := poisoned(r, orHarmless(text))
		if got := htmlStructure(t, render(t, writeHTML, bad)); got != wantHTML {
			t.Errorf("html: %s", difference(got, wantHTML))
		}
		if got := markdownStructure(render(t, writeUnshortened, bad)); got != wantMarkdown {
			t.Errorf("markdown: %s", difference(got, wantMarkdown))
		}
	})
}

// orHarmless keeps texts that clean to nothing from removing a part.
func orHarmless(text string) string {
	if cleanText(text, maxSentence, false) == "" {
		return "harmless"
	}
	return text
}

func writeUnshortened(w io.Writer, r *Report) error {
	_, err := fmt.Fprint(w, markdownWithin(r, ladder[:1], 1<<30, false))
	return err
}

// htmlStructure is the page without its text and without the attributes that
// carry text: elements, ids, classes, and every address.
func htmlStructure(t testing.TB, page string) string {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var walk func(*html.Node, int)
	walk = func(n *html.Node, depth int) {
		if n.Type == html.CommentNode {
			b.WriteString("comment\n")
		}
		// A legend has as many code elements as a text has pairs of backticks.
		if n.Type == html.ElementNode && !inlineCode(n) {
			b.WriteString(strings.Repeat(" ", depth) + n.Data)
			for _, a := range n.Attr {
				switch a.Key {
				case "class", "id", "href", "src", "role", "tabindex", "rel", "aria-labelledby":
					b.WriteString(" " + a.Key + "=" + a.Val)
				case "content":
				default:
					b.WriteString(" " + a.Key)
				}
			}
			b.WriteByte('\n')
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, depth+1)
		}
	}
	walk(root, 0)
	return b.String()
}

func inlineCode(n *html.Node) bool { return n.Data == "code" && n.Parent.Data != "pre" }

var gfm = goldmark.New(goldmark.WithExtensions(extension.GFM))

// markdownStructure is the tree without its text. Code spans inside prose are
// as many as a text has pairs of backticks and of no consequence.
func markdownStructure(doc string) string {
	source := []byte(doc)
	var b strings.Builder
	depth := 0
	_ = ast.Walk(gfm.Parser().Parse(gtext.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			depth--
			return ast.WalkContinue, nil
		}
		depth++
		switch n.Kind() {
		case ast.KindText, ast.KindString, ast.KindCodeSpan:
			return ast.WalkContinue, nil
		}
		b.WriteString(strings.Repeat(" ", depth) + n.Kind().String())
		switch x := n.(type) {
		case *ast.Link:
			b.WriteString(" " + string(x.Destination))
		case *ast.AutoLink:
			b.WriteString(" " + string(x.URL(source)))
		case *ast.RawHTML:
			for i := range x.Segments.Len() {
				s := x.Segments.At(i)
				b.Write(s.Value(source))
			}
		case *ast.FencedCodeBlock:
			b.WriteString(" " + string(x.Language(source)))
		case *ast.Heading:
			fmt.Fprint(&b, " ", x.Level)
		}
		b.WriteByte('\n')
		return ast.WalkContinue, nil
	})
	return b.String()
}

func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	n := firstDifference(got, want) - 1
	at := func(s []string) string { return strings.Join(s[max(0, min(n-1, len(s))):min(n+2, len(s))], " / ") }
	return fmt.Sprintf("line %d: got %q, want %q", n+1, at(g), at(w))
}

// No format lets a control character, a direction override or an invisible
// character through, whatever the text.
func TestFormatsCarryNoHiddenCharacters(t *testing.T) {
	r := severalCauses().report()
	for _, text := range corpus {
		bad := poisoned(r, text)
		for _, f := range Formats {
			out := strings.ReplaceAll(render(t, f.Write, bad), "\r\n", "\n")
			if !utf8.ValidString(out) {
				t.Fatalf("%s: invalid UTF-8 from %.40q", f.Name, text)
			}
			for _, c := range out {
				if c != '\n' && c != '\t' && c != wordBreak && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) {
					t.Fatalf("%s: %U from %.40q", f.Name, c, text)
				}
			}
		}
	}
}

func FuzzCleaning(f *testing.F) {
	for _, text := range corpus {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, tag := range []string{"", "name", "block", "url", "hex"} {
			once := cleanString(text, tag)
			if twice := cleanString(once, tag); twice != once {
				t.Errorf("%s: %q becomes %q when cleaned again", tag, once, twice)
			}
			if !utf8.ValidString(once) || bytes.ContainsAny([]byte(once), "\x1b\x00\u202e") {
				t.Errorf("%s: %q is not clean", tag, once)
			}
		}
	})
}
