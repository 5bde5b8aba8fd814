package pglog

import (
	_ "embed" // for the schema
	"strings"

	"github.com/jackc/pgx/v5"
)

// defaultSchema is the name that the schema has in schema.sql.
const defaultSchema = "pglog"

//go:embed schema.sql
var schemaSource string

// Schema returns the statements that make the schema of the given name, "" for "pglog": the
// file schema.sql of this module with that name. They must run in one transaction, as they
// do if they are sent together. They can be run again, by several sessions at once too.
// [Open] runs them if the schema does not exist, and the user may make it.
func Schema(name string) string { return inSchema(schemaSource, name) }

// inSchema returns a statement for the schema of another name than defaultSchema.
func inSchema(sql, name string) string {
	if name == "" || name == defaultSchema {
		return sql
	}
	quoted := pgx.Identifier{name}.Sanitize()
	return strings.NewReplacer(
		"to_regnamespace('pglog')", "to_regnamespace('"+strings.ReplaceAll(quoted, "'", "''")+"')",
		"SCHEMA pglog", "SCHEMA "+quoted,
		"pglog.Schema", "pglog.Schema", // the function, in a comment
		"pglog.", quoted+".",
	).Replace(sql)
}
