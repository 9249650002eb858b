/** The four grades and their order (docs/grades.md). */

/** From weak to strong. */
export const GRADES = ['torn', 'crash', 'filesystem', 'application'] as const
export type Grade = (typeof GRADES)[number]

export function isWeaker(a: Grade, than: Grade): boolean {
  return GRADES.indexOf(a) < GRADES.indexOf(than)
}

/** The weakest of `grades`; `application` if there are none. */
export function weakest(grades: Iterable<Grade>): Grade {
  let result: Grade = 'application'
  for (const grade of grades) if (isWeaker(grade, result)) result = grade
  return result
}
