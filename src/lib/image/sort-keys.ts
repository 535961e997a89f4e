/** What a list can be sorted by; by itself, for completion wants no more of the list. */
export const SORT_KEYS = ['name', 'created', 'size', 'virtual', 'kernel'] as const;

export type SortKey = (typeof SORT_KEYS)[number];
