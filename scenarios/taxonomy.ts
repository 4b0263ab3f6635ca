export type TaxonomyId = string;
