/** A blog as TypeORM's users write it down, by EntitySchema: decorators are not erasable syntax. */
import { EntitySchema } from 'typeorm';

export type Role = 'reader' | 'author' | 'editor';

export interface User {
  id: number;
  email: string;
  displayName: string;
  role: Role;
  settings: { readonly theme?: string; readonly changes?: number; readonly tags?: readonly string[] };
  credits: string;
  posts?: Post[];
  createdAt: Date;
  updatedAt: Date;
  version: number;
}

export interface Post {
  id: string;
  title: string;
  slug: string;
  body: string | null;
  views: number;
  author?: User;
  authorId: number;
  tags?: Tag[];
  comments?: Comment[];
  createdAt: Date;
  updatedAt: Date;
  deletedAt: Date | null;
  version: number;
}

export interface Tag {
  id: number;
  name: string;
  uses: number;
  posts?: Post[];
}

export interface Comment {
  id: string;
  body: string;
  post?: Post;
  postId: string;
  author?: User | null;
  authorId: number | null;
  parent?: Comment | null;
  replies?: Comment[];
  createdAt: Date;
}

const moments = {
  createdAt: { type: 'timestamptz', name: 'created_at', createDate: true },
  updatedAt: { type: 'timestamptz', name: 'updated_at', updateDate: true },
} as const;

export const UserEntity = new EntitySchema<User>({
  name: 'User',
  tableName: 'users',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    email: { type: 'varchar', length: 200 },
    displayName: { type: 'varchar', length: 100, name: 'display_name' },
    role: { type: 'enum', enum: ['reader', 'author', 'editor'], enumName: 'user_role', default: 'reader' },
    settings: { type: 'jsonb', default: {} },
    credits: { type: 'numeric', precision: 12, scale: 2, default: 0 },
    version: { type: 'int', version: true },
    ...moments,
  },
  relations: { posts: { type: 'one-to-many', target: 'Post', inverseSide: 'author' } },
  uniques: [{ name: 'UQ_users_email', columns: ['email'] }],
});

export const PostEntity = new EntitySchema<Post>({
  name: 'Post',
  tableName: 'posts',
  columns: {
    id: { type: 'uuid', primary: true, generated: 'uuid' },
    title: { type: 'varchar', length: 200 },
    slug: { type: 'varchar', length: 240 },
    body: { type: 'text', nullable: true },
    views: { type: 'int', default: 0 },
    authorId: { type: 'int', name: 'author_id' },
    deletedAt: { type: 'timestamptz', name: 'deleted_at', deleteDate: true, nullable: true },
    version: { type: 'int', version: true },
    ...moments,
  },
  relations: {
    author: {
      type: 'many-to-one',
      target: 'User',
      inverseSide: 'posts',
      joinColumn: { name: 'author_id', foreignKeyConstraintName: 'FK_posts_author' },
      onDelete: 'CASCADE',
    },
    tags: {
      type: 'many-to-many',
      target: 'Tag',
      inverseSide: 'posts',
      cascade: ['insert'],
      joinTable: {
        name: 'post_tags',
        joinColumn: { name: 'post_id', foreignKeyConstraintName: 'FK_post_tags_post' },
        inverseJoinColumn: { name: 'tag_id', foreignKeyConstraintName: 'FK_post_tags_tag' },
      },
    },
    comments: { type: 'one-to-many', target: 'Comment', inverseSide: 'post', cascade: ['insert'] },
  },
  uniques: [{ name: 'UQ_posts_slug', columns: ['slug'] }],
  indices: [{ name: 'IDX_posts_author_created', columns: ['authorId', 'createdAt'] }],
});

export const TagEntity = new EntitySchema<Tag>({
  name: 'Tag',
  tableName: 'tags',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    name: { type: 'varchar', length: 50 },
    uses: { type: 'int', default: 0 },
  },
  relations: { posts: { type: 'many-to-many', target: 'Post', inverseSide: 'tags' } },
  uniques: [{ name: 'UQ_tags_name', columns: ['name'] }],
});

export const CommentEntity = new EntitySchema<Comment>({
  name: 'Comment',
  tableName: 'comments',
  columns: {
    id: { type: 'bigint', primary: true, generated: 'increment' },
    body: { type: 'text' },
    postId: { type: 'uuid', name: 'post_id' },
    authorId: { type: 'int', name: 'author_id', nullable: true },
    createdAt: moments.createdAt,
  },
  relations: {
    post: {
      type: 'many-to-one',
      target: 'Post',
      inverseSide: 'comments',
      joinColumn: { name: 'post_id', foreignKeyConstraintName: 'FK_comments_post' },
      onDelete: 'CASCADE',
    },
    author: {
      type: 'many-to-one',
      target: 'User',
      joinColumn: { name: 'author_id', foreignKeyConstraintName: 'FK_comments_author' },
      nullable: true,
      onDelete: 'SET NULL',
    },
    parent: {
      type: 'many-to-one',
      target: 'Comment',
      inverseSide: 'replies',
      joinColumn: { name: 'parent_id', foreignKeyConstraintName: 'FK_comments_parent' },
      nullable: true,
      onDelete: 'CASCADE',
    },
    replies: { type: 'one-to-many', target: 'Comment', inverseSide: 'parent' },
  },
  indices: [{ name: 'IDX_comments_post', columns: ['postId'] }],
});
