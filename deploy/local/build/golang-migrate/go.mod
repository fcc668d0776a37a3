// The migrator that the benchmarks compare with, in a module of its own.
//
// Not tidied: that would add the drivers of two dozen other databases. What is
// here is what a build with -tags postgres needs.
module schema-operator.local/golang-migrate

go 1.26.0

require github.com/golang-migrate/migrate/v4 v4.20.1
