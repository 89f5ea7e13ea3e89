package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// writeCSV has a row for every cause, in base units, for a spreadsheet.
func writeCSV(w io.Writer, r *Report) error {
	rows := [][]string{{"rank", "rule", "title", "service", "instance", "operation", "resource", "score", "affected_service", "affected_operation", "percentile", "now_s", "then_s", "saved_s", "low_s", "high_s", "fingerprint"}}
	for _, c := range r.Causes {
		row := []string{strconv.Itoa(c.Rank), c.Rule, c.Title, c.Subject.Service, c.Subject.Instance, c.Subject.Operation, c.Subject.Resource, plain(c.Score)}
		if i := c.Impact; i != nil {
			row = append(row, i.Service, i.Operation, i.Percentile, plain(i.Now), plain(i.Then), plain(i.Saved), plain(i.Low), plain(i.High))
		} else {
			row = append(row, "", "", "", "", "", "", "", "")
		}
		rows = append(rows, append(row, c.Fingerprint))
	}
	for _, row := range rows {
		for i, v := range row {
			row[i] = csvCell(v)
		}
		if _, err := fmt.Fprintf(w, "%s\r\n", strings.Join(row, ",")); err != nil {
			return err
		}
	}
	return nil
}

func plain(v float64) string { return strconv.FormatFloat(significant(v), 'f', -1, 64) }

// csvCell quotes every cell, and puts an apostrophe before what a spreadsheet
// would take for a formula. A number is none.
func csvCell(s string) string {
	if _, err := strconv.ParseFloat(s, 64); err != nil && s != "" && strings.ContainsRune("=+-@\t\r|%", rune(s[0])) {
		s = "'" + s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}
