// Package schema is the shop's database: its tables and a seed that is the
// same on every machine. It holds SQL and runs none.
package schema

import _ "embed"

// Tables creates the tables, without the indexes that Indexes adds after the
// seed, when they are cheaper to build.
//
//go:embed tables.sql
var Tables string

// Seed fills the tables, deterministically.
//
//go:embed seed.sql
var Seed string

// Indexes adds primary keys and indexes, and analyzes.
//
//go:embed indexes.sql
var Indexes string
