package main

import (
	"bytes"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// bill writes the parts as a CycloneDX document. It has no serial number and no
// date, so that the same binary has the same bill.
func bill(p *Parts) ([]byte, error) {
	components := make([]cdx.Component, 0, 1+len(p.Modules))
	components = append(components, cdx.Component{
		Type: cdx.ComponentTypeLibrary, BOMRef: "pkg:golang/std", Name: "std", Version: p.Go,
		PackageURL: "pkg:golang/std@" + strings.TrimPrefix(p.Go, "go"),
		Licenses:   licences("BSD-3-Clause"),
	})
	for _, m := range p.Modules {
		purl := "pkg:golang/" + m.Path + "@" + m.Version
		components = append(components, cdx.Component{
			Type: cdx.ComponentTypeLibrary, BOMRef: purl, Name: m.Path, Version: m.Version, PackageURL: purl,
			Licenses:   licences(m.Licences...),
			Properties: &[]cdx.Property{{Name: "go:sum", Value: m.Sum}},
		})
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &cdx.Component{
		Type: cdx.ComponentTypeApplication, BOMRef: "pkg:golang/" + p.Main.Path, Name: p.Main.Path, Version: p.Main.Version,
		Licenses: licences("Apache-2.0"),
	}}
	bom.Components = &components
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	return out.Bytes(), err
}

func licences(ids ...string) *cdx.Licenses {
	all := make(cdx.Licenses, 0, len(ids))
	for _, id := range ids {
		all = append(all, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return &all
}
